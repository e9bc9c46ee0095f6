/** A real etcd process for tests: one member on ports that the kernel chose, its data in a directory of its own. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface EtcdProcess extends AsyncDisposable {
  /** HOST:PORT. Stays the same over restarts. */
  readonly endpoint: string;
  /** Ends it without a chance to say goodbye, and waits until it is gone. */
  kill9(): Promise<void>;
  /** Starts it again on the same data, and waits until it answers. */
  restart(): Promise<void>;
  /** Starts it again with nothing in it, as after a disaster. */
  wipe(): Promise<void>;
}

const readyWithinMs = 20_000;

/** Undefined where there is an etcd to test with; else why not. On CI its absence is an error, not a reason to skip. */
export function whyNoEtcd(): string | undefined {
  if (!spawnSync('etcd', ['--version']).error) return undefined;
  const reason = 'etcd is not installed (Debian: apt-get install etcd-server)';
  if (process.env.CI) throw new Error(`Cannot test the etcd store: ${reason}`);
  return reason;
}

/** `flags` are added to the command line. */
export async function startEtcd(options: { readonly flags?: readonly string[] } = {}): Promise<EtcdProcess> {
  const directory = await mkdtemp(join(tmpdir(), 'cf-etcd-'));
  const [client, peer] = await freePorts(2);
  const endpoint = `127.0.0.1:${client}`;
  const flags = [...memberFlags(directory, endpoint, `127.0.0.1:${peer}`), ...(options.flags ?? [])];
  let running = await launch(flags, endpoint);
  const kill9 = async () => {
    if (running.exitCode !== null || running.signalCode !== null) return;
    const gone = once(running, 'exit');
    running.kill('SIGKILL');
    await gone;
  };
  return {
    endpoint,
    kill9,
    async restart() {
      await kill9();
      running = await launch(flags, endpoint);
    },
    async wipe() {
      await kill9();
      await rm(directory, { recursive: true });
      running = await launch(flags, endpoint);
    },
    async [Symbol.asyncDispose]() {
      await kill9();
      await rm(directory, { recursive: true, force: true });
    },
  };
}

function memberFlags(directory: string, client: string, peer: string): string[] {
  const at = (address: string) => `http://${address}`;
  return [
    ['--name', 'test'],
    ['--data-dir', directory],
    ['--listen-client-urls', at(client), '--advertise-client-urls', at(client)],
    [
      '--listen-peer-urls',
      at(peer),
      '--initial-advertise-peer-urls',
      at(peer),
      '--initial-cluster',
      `test=${at(peer)}`,
    ],
    ['--log-level', 'error', '--logger', 'zap'],
  ].flat();
}

/** Ports that are free now. Another process may take one before etcd does; then etcd ends and the test says why. */
async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer().listen(0, '127.0.0.1'));
  await Promise.all(servers.map((server) => once(server, 'listening')));
  const ports = servers.map((server) => (server.address() as { port: number }).port);
  await Promise.all(servers.map((server) => once(server.close(), 'close')));
  return ports;
}

async function launch(flags: readonly string[], endpoint: string): Promise<ChildProcess> {
  const child = spawn('etcd', flags, { stdio: ['ignore', 'ignore', 'pipe'] });
  let complaints = '';
  child.stderr.on('data', (chunk: Buffer) => {
    complaints = (complaints + chunk.toString()).slice(-4_000);
  });
  const deadline = Date.now() + readyWithinMs;
  while (!(await answers(endpoint))) {
    if (child.exitCode !== null || Date.now() > deadline) {
      child.kill('SIGKILL');
      throw new Error(`etcd did not come up at ${endpoint}: ${complaints}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return child;
}

async function answers(endpoint: string): Promise<boolean> {
  try {
    const response = await fetch(`http://${endpoint}/health`, { signal: AbortSignal.timeout(1_000) });
    return ((await response.json()) as { health?: string }).health === 'true';
  } catch {
    return false; // Not yet listening: the caller asks again until its deadline.
  }
}
