/** A real etcd process for tests: one member on ports of its own, its data in a directory of its own. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePorts } from '#lib/std/free-ports.ts';
import { type Authority, issue } from '#lib/tls/authority.ts';

export interface EtcdProcess extends AsyncDisposable {
  /** HOST:PORT. Stays the same over restarts. */
  readonly endpoint: string;
  /** Another one after a restart. */
  pid(): number;
  /** Ends it without a chance to say goodbye, and waits until it is gone. */
  kill9(): Promise<void>;
  /** Starts it again on the same data, and waits until it answers. */
  restart(): Promise<void>;
  /** Starts it again with nothing in it, as after a disaster. */
  wipe(): Promise<void>;
  /** It stands still but keeps its connections, as on a machine that hangs. */
  pause(): void;
  resume(): void;
  /** A backup as operators make it; a file in the directory of this etcd. */
  snapshot(): Promise<string>;
  /** Starts it again on such a backup. */
  restore(snapshot: string): Promise<void>;
}

export interface StartEtcdOptions {
  /** Added to the command line. */
  readonly flags?: readonly string[];
  /** It then demands TLS and client certificates that this authority signed. */
  readonly authority?: Authority;
}

const readyWithinMs = 20_000;

/** Undefined where there is an etcd to test with; else why not. On CI its absence is an error, not a reason to skip. */
export function whyNoEtcd(): string | undefined {
  if (!spawnSync('etcd', ['--version']).error) return undefined;
  const reason = 'etcd is not installed (Debian: apt-get install etcd-server)';
  if (process.env.CI) throw new Error(`Cannot test the etcd store: ${reason}`);
  return reason;
}

export async function startEtcd(options: StartEtcdOptions = {}): Promise<EtcdProcess> {
  const directory = await mkdtemp(join(tmpdir(), 'cf-etcd-'));
  const data = join(directory, 'data');
  const [client, peer, metrics] = await freePorts(3);
  const endpoint = `127.0.0.1:${client}`;
  const health = `127.0.0.1:${metrics}`;
  const tls = options.authority ? await tlsFlags(options.authority, directory) : [];
  const cluster = clusterFlags(`127.0.0.1:${peer}`);
  const flags = [
    ...memberFlags(data, endpoint, `127.0.0.1:${peer}`, options.authority ? 'https' : 'http'),
    ...cluster,
    ...['--listen-metrics-urls', `http://${health}`],
    ...tls,
    ...(options.flags ?? []),
  ];
  let running = await launch(flags, health);
  let snapshots = 0;
  const kill9 = async () => {
    if (running.exitCode !== null || running.signalCode !== null) return;
    const gone = once(running, 'exit');
    running.kill('SIGKILL');
    await gone;
  };
  return {
    endpoint,
    pid: () => running.pid!,
    kill9,
    async restart() {
      await kill9();
      running = await launch(flags, health);
    },
    async wipe() {
      await kill9();
      await rm(data, { recursive: true });
      running = await launch(flags, health);
    },
    pause: () => void running.kill('SIGSTOP'),
    resume: () => void running.kill('SIGCONT'),
    async snapshot() {
      const file = join(directory, `snapshot-${++snapshots}`);
      await etcdctl(['--endpoints', endpoint, 'snapshot', 'save', file]);
      return file;
    },
    async restore(snapshot) {
      await kill9();
      await rm(data, { recursive: true });
      await etcdctl(['snapshot', 'restore', snapshot, '--data-dir', data, ...cluster]);
      running = await launch(flags, health);
    },
    async [Symbol.asyncDispose]() {
      await kill9();
      await rm(directory, { recursive: true, force: true });
    },
  };
}

/** What a member and a restored backup must agree about. */
function clusterFlags(peer: string): string[] {
  const url = `http://${peer}`;
  return ['--name', 'test', '--initial-advertise-peer-urls', url, '--initial-cluster', `test=${url}`];
}

function memberFlags(data: string, client: string, peer: string, scheme: 'http' | 'https'): string[] {
  const url = `${scheme}://${client}`;
  return [
    ['--data-dir', data],
    ['--listen-client-urls', url, '--advertise-client-urls', url],
    ['--listen-peer-urls', `http://${peer}`],
    ['--log-level', 'error', '--logger', 'zap'],
  ].flat();
}

async function tlsFlags(authority: Authority, directory: string): Promise<string[]> {
  const { certificate, key } = await issue(authority, {
    commonName: 'etcd',
    ips: ['127.0.0.1'],
    dnsNames: ['localhost'],
    usage: 'server',
  });
  const file = async (name: string, content: string) => {
    await writeFile(join(directory, name), content, { mode: 0o600 });
    return join(directory, name);
  };
  return [
    ['--cert-file', await file('etcd.crt', certificate), '--key-file', await file('etcd.key', key)],
    ['--client-cert-auth', '--trusted-ca-file', await file('ca.crt', authority.certificate)],
  ].flat();
}

/** Debian's etcdctl speaks the old protocol unless told. */
async function etcdctl(args: readonly string[]): Promise<void> {
  const child = spawn('etcdctl', args, {
    env: { ...process.env, ETCDCTL_API: '3' },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let complaints = '';
  child.stderr.on('data', (chunk: Buffer) => {
    complaints += chunk.toString();
  });
  const [code] = (await once(child, 'exit')) as [number | null];
  if (code !== 0) throw new Error(`etcdctl ${args.join(' ')} failed: ${complaints}`);
}

async function launch(flags: readonly string[], health: string): Promise<ChildProcess> {
  const child = spawn('etcd', flags, { stdio: ['ignore', 'ignore', 'pipe'] });
  let complaints = '';
  child.stderr.on('data', (chunk: Buffer) => {
    complaints = (complaints + chunk.toString()).slice(-4_000);
  });
  const deadline = Date.now() + readyWithinMs;
  while (!(await answers(health))) {
    if (child.exitCode !== null || Date.now() > deadline) {
      child.kill('SIGKILL');
      throw new Error(`etcd did not come up: ${complaints}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return child;
}

async function answers(health: string): Promise<boolean> {
  try {
    const response = await fetch(`http://${health}/health`, { signal: AbortSignal.timeout(1_000) });
    return ((await response.json()) as { health?: string }).health === 'true';
  } catch {
    return false; // Not yet listening: the caller asks again until its deadline.
  }
}
