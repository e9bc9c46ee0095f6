/** An API server process over an etcd process of its own, on disk, and a client that is its admin. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { get } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeCredentials } from '#cli/local/credentials.ts';
import { launcher } from '#cli/local/programs.ts';
import { localPaths } from '#cli/local/settings.ts';
import { Namespace } from '#lib/api/core.ts';
import type { Client } from '#lib/client/client.ts';
import { connectFromFile } from '#lib/client/kubeconfig.ts';
import { systemClock } from '#lib/std/clock.ts';
import { freePort } from '#lib/std/free-ports.ts';
import { systemRandom } from '#lib/std/random.ts';
import { startEtcd } from '#test/etcd.ts';

export interface BenchServer extends AsyncDisposable {
  readonly client: Client;
  /** As the controllers: its rights come from roles, as those of everybody but the admin do. */
  readonly program: Client;
  /** host:port */
  readonly etcd: string;
  /** The kubeconfig of one of our programs, with its own rights. */
  readonly kubeconfigOf: (program: 'controllers' | 'cluster-server') => string;
  /** For clients that speak to the socket themselves. */
  readonly admin: { readonly port: number; readonly ca: string; readonly token: string };
  /** Of the API server; another one after a restart. */
  readonly pid: () => number;
  readonly etcdPid: () => number;
  /** Asks V8 for a full collection and returns the bytes in use on its heap. */
  readonly collectedHeap: () => Promise<number>;
  /** Ends the process as a power cut would, starts it again, and returns the milliseconds until it says that it is ready. */
  readonly crash: () => Promise<number>;
}

const startDeadlineMs = 60_000;

export async function startBenchServer(): Promise<BenchServer> {
  await using stack = new AsyncDisposableStack();
  const dir = mkdtempSync(join(tmpdir(), 'cf-bench-'));
  stack.defer(() => rmSync(dir, { recursive: true, force: true }));
  const etcd = stack.use(await startEtcd());
  const port = await freePort();
  const command = await prepare(dir, port, etcd.endpoint);
  let running = launch(command);
  stack.defer(() => end(running.child));
  const { kubeconfig, credentials } = localPaths(dir);
  // As many connections as the benchmark has clients: none waits for another.
  const client = connectFromFile(kubeconfig, { connections: 64 });
  const kubeconfigOf = (name: string) => join(credentials, `${name}.kubeconfig`);
  const program = connectFromFile(kubeconfigOf('controllers'), { connections: 64 });
  await answering(running, () => client.get(Namespace, { name: 'default' }));
  const admin = {
    port,
    ca: readFileSync(join(credentials, 'ca.crt'), 'utf8'),
    token: readFileSync(join(credentials, 'tokens.csv'), 'utf8').split(',')[0]!,
  };
  const cleanup = stack.move();
  return {
    client,
    program,
    etcd: etcd.endpoint,
    kubeconfigOf,
    admin,
    pid: () => running.child.pid!,
    etcdPid: () => etcd.pid(),
    collectedHeap: () => collectedHeap(running),
    async crash() {
      running.child.kill('SIGKILL');
      await once(running.child, 'exit');
      const started = systemClock.monotonic();
      running = launch(command);
      await answering(running, () => ready(admin));
      return systemClock.monotonic() - started;
    },
    [Symbol.asyncDispose]: () => cleanup.disposeAsync(),
  };
}

async function prepare(dir: string, port: number, etcd: string): Promise<readonly string[]> {
  const options = {
    dir,
    port,
    hosts: 0,
    hostCpus: 0,
    hostMem: '0Gi',
    store: 'sqlite',
    mesos: 'local',
    hypervisor: 'sim',
  } as const;
  await makeCredentials({ version: 1, options, masterPort: 0, hosts: [] }, systemRandom);
  const at = (file: string) => join(localPaths(dir).credentials, file);
  return [
    ['--listen', `127.0.0.1:${port}`, '--store', `etcd://${etcd}`],
    ['--tls-cert', at('apiserver.crt'), '--tls-key', at('apiserver.key')],
    ['--client-ca', at('ca.crt'), '--token-file', at('tokens.csv')],
    // What one user may do in a second is not what is measured.
    ['--user-requests-per-second', '1000000'],
  ].flat();
}

interface Running {
  readonly child: ChildProcess;
  /** The last lines of its log. */
  readonly log: string[];
  /** Where V8's inspector listens. */
  readonly inspector: Promise<string>;
}

function launch(flags: readonly string[]): Running {
  const env = { ...process.env, NODE_OPTIONS: `${process.env.NODE_OPTIONS ?? ''} --inspect=127.0.0.1:0` };
  const child = spawn(launcher('factory-apiserver'), flags, { env, stdio: ['ignore', 'ignore', 'pipe'] });
  const log: string[] = [];
  const { promise: inspector, resolve } = Promise.withResolvers<string>();
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    log.splice(0, Math.max(0, log.push(text) - 20));
    const address = /ws:\/\/\S+/.exec(text)?.[0];
    if (address) resolve(address);
  });
  return { child, log, inspector };
}

async function answering({ child, log }: Running, ask: () => Promise<unknown>): Promise<void> {
  const deadline = systemClock.monotonic() + startDeadlineMs;
  for (;;) {
    try {
      await ask();
      return;
    } catch (error) {
      if (child.exitCode !== null || systemClock.monotonic() > deadline) {
        writeFileSync(2, log.join(''));
        throw new Error('The API server did not start; its log is above', { cause: error });
      }
      await systemClock.sleep(10);
    }
  }
}

/** Rejects unless /readyz says ok. */
async function ready({ port, ca }: BenchServer['admin']): Promise<void> {
  const answer = await new Promise<number>((resolve, reject) => {
    const request = get({ host: '127.0.0.1', port, path: '/readyz', ca, agent: false });
    request.on('response', (response) => resolve(response.resume().statusCode ?? 0)).on('error', reject);
  });
  if (answer !== 200) throw new Error(`/readyz answers ${answer}`);
}

async function collectedHeap({ inspector }: Running): Promise<number> {
  const socket = new WebSocket(await inspector);
  await once(socket, 'open');
  const ask = async (id: number, method: string, params = {}) => {
    const answered = once(socket, 'message');
    socket.send(JSON.stringify({ id, method, params }));
    const [event] = (await answered) as [MessageEvent];
    return JSON.parse(String(event.data)) as { readonly result: { readonly result: { readonly value: number } } };
  };
  await ask(1, 'HeapProfiler.collectGarbage');
  const expression = 'process.memoryUsage().heapUsed';
  const { result } = await ask(2, 'Runtime.evaluate', { expression, returnByValue: true });
  socket.close();
  return result.result.value;
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill('SIGTERM');
  await once(child, 'exit');
}
