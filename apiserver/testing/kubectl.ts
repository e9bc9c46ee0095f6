/** The kubectl of this machine against a test server, with a home folder of its own. */
import { type ChildProcess, execFile, execFileSync } from 'node:child_process';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { stringify } from 'yaml';
import type { TestServer } from './start.ts';

export interface Output {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface KubectlOptions {
  /** Standard input. */
  readonly input?: string;
  readonly editor?: string;
  /** Told all that was printed so far, on both outputs, each time there is more. `stop` ends it, with code 0. */
  readonly heard?: (text: string, stop: () => void) => void;
}

/** Runs it to its end, at most 30 s. */
export type Kubectl = (arguments_: readonly string[], options?: KubectlOptions) => Promise<Output>;

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
  return (arguments_, { input = '', editor = 'false', heard } = {}) =>
    new Promise((resolve, reject) => {
      const env = { PATH: process.env.PATH, HOME: home, KUBECONFIG: join(home, 'config'), KUBE_EDITOR: editor };
      let stopped = false;
      const child = execFile(program, [...arguments_], { env, timeout: 30_000 }, (error, stdout, stderr) => {
        if (error && typeof error.code !== 'number' && !stopped) reject(error);
        else resolve({ code: error && !stopped ? Number(error.code) : 0, stdout, stderr });
      });
      if (heard)
        follow(child, heard, () => {
          stopped = true;
          child.kill();
        });
      // It may end without reading any of it.
      child.stdin?.on('error', () => undefined).end(input);
    });
}

function follow(child: ChildProcess, heard: NonNullable<KubectlOptions['heard']>, stop: () => void): void {
  let text = '';
  for (const stream of [child.stdout, child.stderr])
    stream?.on('data', (chunk: string) => {
      text += chunk;
      heard(text, stop);
    });
}
