/** A local cluster of its own for one test: own directory, own port, started and stopped by the user's own commands. */
import { execFile } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { marker } from '#cli/local/programs.ts';
import { localPaths } from '#cli/local/settings.ts';
import type { Client } from '#lib/client/client.ts';
import { connectFromFile } from '#lib/client/kubeconfig.ts';
import { freePort } from '#lib/std/free-ports.ts';
import { processesMarked } from '#lib/std/process-identity.ts';

export const root = join(import.meta.dirname, '../..');
export const samples = join(root, 'manifests/samples');

export interface Answer {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface LocalCluster extends AsyncDisposable {
  readonly dir: string;
  readonly client: Client;
  readonly kubeconfig: string;
  /** Runs factoryctl; never rejects for an exit code. */
  factoryctl(...args: readonly string[]): Promise<Answer>;
  kubectl(...args: readonly string[]): Promise<Answer>;
  /** Like kubectl, with more environment, for example an editor. */
  kubectlWith(environment: Readonly<Record<string, string>>, ...args: readonly string[]): Promise<Answer>;
}

export interface ClusterOptions {
  readonly hosts?: number;
  readonly hostCpus?: number;
  readonly hostMem?: string;
  readonly hypervisor?: 'auto' | 'sim' | 'libvirt';
  readonly store?: string;
}

/** Runs a program to its end, at most `timeoutMs`. */
export function run(
  file: string,
  args: readonly string[],
  environment: Readonly<Record<string, string>> = {},
  timeoutMs = 240_000,
): Promise<Answer> {
  return new Promise((resolve) => {
    execFile(
      file,
      [...args],
      { env: { ...process.env, ...environment }, timeout: timeoutMs, killSignal: 'SIGKILL', maxBuffer: 2 ** 26 },
      (error, stdout, stderr) => {
        const code = error ? (typeof error.code === 'number' ? error.code : 1) : 0;
        resolve({ code, stdout, stderr: error && stderr === '' ? error.message : stderr });
      },
    );
  });
}

/** Rejects with what was said unless the command succeeded. */
export async function must(answer: Promise<Answer>): Promise<string> {
  const { code, stdout, stderr } = await answer;
  if (code !== 0) throw new Error(`Ended with ${code}:\n${stdout}${stderr}`);
  return stdout;
}

/** Disk image for machines that only imitate: a megabyte of nothing after one line. */
export function placeTinyImage(dir: string, name = 'tiny.img'): void {
  mkdirSync(localPaths(dir).imports, { recursive: true });
  const file = join(localPaths(dir).imports, name);
  writeFileSync(file, 'an imitated machine boots this\n');
  truncateSync(file, 2 ** 20);
}

export async function startLocalCluster(options: ClusterOptions = {}): Promise<LocalCluster> {
  const parent = mkdtempSync(join(tmpdir(), 'cf-e2e-'));
  // QEMU is a user of its own, who has to get to the disks below: where he cannot, a pretended host runs it as root.
  chmodSync(parent, 0o711);
  const dir = join(parent, 'local');
  const kubeconfig = localPaths(dir).kubeconfig;
  const environment = { KUBECONFIG: kubeconfig };
  const factoryctl = (...args: readonly string[]) => run(join(root, 'bin/factoryctl'), args, environment);
  const down = async () => {
    await must(factoryctl('local', 'down', '--dir', dir));
    const left = processesMarked(marker, dir);
    if (left.length > 0) throw new Error(`local down left processes: ${left.map(({ pid }) => pid).join(', ')}`);
    if (existsSync(dir)) throw new Error(`local down left ${dir}`);
    rmSync(parent, { recursive: true, force: true });
  };
  const flags = Object.entries({
    hosts: options.hosts,
    'host-cpus': options.hostCpus,
    'host-mem': options.hostMem,
    hypervisor: options.hypervisor ?? 'sim',
    store: options.store,
  }).flatMap(([name, value]) => (value === undefined ? [] : [`--${name}`, String(value)]));
  const up = await factoryctl('local', 'up', '--dir', dir, '--port', String(await freePort()), '--wait', ...flags);
  if (up.code !== 0) {
    await down();
    throw new Error(`local up ended with ${up.code}:\n${up.stdout}${up.stderr}`);
  }
  const kubectlWith = (extra: Readonly<Record<string, string>>, ...args: readonly string[]) =>
    run('kubectl', args, { ...environment, HOME: parent, ...extra });
  return {
    dir,
    kubeconfig,
    client: connectFromFile(kubeconfig),
    factoryctl,
    kubectl: (...args) => kubectlWith({}, ...args),
    kubectlWith,
    [Symbol.asyncDispose]: down,
  };
}
