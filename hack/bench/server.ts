/** An API server process over an etcd process of its own, on disk, and a client that is its admin. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeCredentials } from '#cli/local/credentials.ts';
import { launcher } from '#cli/local/programs.ts';
import { localPaths } from '#cli/local/settings.ts';
import { Namespace } from '#lib/api/core.ts';
import type { Client } from '#lib/client/client.ts';
import { connectFromFile } from '#lib/client/kubeconfig.ts';
import { systemClock } from '#lib/std/clock.ts';
import { systemRandom } from '#lib/std/random.ts';
import { freePort } from '#test/e2e/local-cluster.ts';
import { startEtcd } from '#test/etcd.ts';

export interface BenchServer extends AsyncDisposable {
  readonly client: Client;
  /** host:port */
  readonly etcd: string;
  readonly kubeconfig: string;
}

export async function startBenchServer(): Promise<BenchServer> {
  await using stack = new AsyncDisposableStack();
  const dir = mkdtempSync(join(tmpdir(), 'cf-bench-'));
  stack.defer(() => rmSync(dir, { recursive: true, force: true }));
  const etcd = stack.use(await startEtcd());
  const port = await freePort();
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
  const flags = [
    '--tls-cert',
    at('apiserver.crt'),
    '--tls-key',
    at('apiserver.key'),
    '--client-ca',
    at('ca.crt'),
    '--token-file',
    at('tokens.csv'),
  ];
  const server = spawn(
    launcher('factory-apiserver'),
    ['--listen', `127.0.0.1:${port}`, '--store', `etcd://${etcd.endpoint}`, ...flags],
    { stdio: ['ignore', 'ignore', 'pipe'] },
  );
  stack.defer(() => end(server));
  const log: string[] = [];
  server.stderr.setEncoding('utf8').on('data', (text: string) => log.splice(0, Math.max(0, log.push(text) - 20)));
  const kubeconfig = localPaths(dir).kubeconfig;
  // As many connections as the benchmark has clients: none waits for another.
  const client = connectFromFile(kubeconfig, { connections: 64 });
  const deadline = systemClock.monotonic() + 30_000;
  for (;;) {
    try {
      await client.get(Namespace, { name: 'default' });
      break;
    } catch (error) {
      if (server.exitCode !== null || systemClock.monotonic() > deadline) {
        writeFileSync(2, log.join(''));
        throw new Error('The API server did not start; its log is above', { cause: error });
      }
      await systemClock.sleep(100);
    }
  }
  const cleanup = stack.move();
  return { client, etcd: etcd.endpoint, kubeconfig, [Symbol.asyncDispose]: () => cleanup.disposeAsync() };
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill('SIGTERM');
  await once(child, 'exit');
}
