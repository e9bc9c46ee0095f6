/** The kubectl of this machine against a test server, with a home folder of its own. */
import { execFile, execFileSync } from 'node:child_process';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { stringify } from 'yaml';
import type { TestServer } from './start.ts';

export interface Output {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs it to its end, at most 30 s. `input` is its standard input. */
export type Kubectl = (
  arguments_: readonly string[],
  options?: { readonly input?: string; readonly editor?: string },
) => Promise<Output>;

/** The version of the kubectl that is found, or undefined if there is none. */
export function kubectlVersion(): string | undefined {
  try {
    const text = execFileSync('kubectl', ['version', '--client', '-o', 'json'], { encoding: 'utf8', stdio: 'pipe' });
    return (JSON.parse(text) as { clientVersion: { gitVersion: string } }).clientVersion.gitVersion;
  } catch {
    return undefined;
  }
}

/** `program` is another kubectl than the one in PATH. Each has a home of its own. */
export function createKubectl({ server, authority, token, folder }: TestServer, program = 'kubectl'): Kubectl {
  const home = mkdtempSync(join(folder, 'home-'));
  const ca = Buffer.from(authority.certificate).toString('base64');
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'test', cluster: { server: server.url, 'certificate-authority-data': ca } }],
    users: [{ name: 'admin', user: { token } }],
    contexts: [{ name: 'test', context: { cluster: 'test', user: 'admin', namespace: 'default' } }],
    'current-context': 'test',
  };
  writeFileSync(join(home, 'config'), stringify(config), { mode: 0o600 });
  return (arguments_, { input = '', editor = 'false' } = {}) =>
    new Promise((resolve, reject) => {
      const env = { PATH: process.env.PATH, HOME: home, KUBECONFIG: join(home, 'config'), KUBE_EDITOR: editor };
      const child = execFile(program, [...arguments_], { env, timeout: 30_000 }, (error, stdout, stderr) => {
        if (error && typeof error.code !== 'number') reject(error);
        else resolve({ code: error ? Number(error.code) : 0, stdout, stderr });
      });
      child.stdin?.end(input);
    });
}
