/**
 * P1: creates of VirtualMachine objects (1 KiB), 64 at a time, through the API server over HTTP/2, against create-if-absent transactions of
 * the same bytes on the same etcd, as many at a time. Authentication, roles, schema and admission are on, etcd's fsync is on.
 */
import { Etcd3 } from 'etcd3';
import { VirtualMachine } from '#lib/api/generated/index.ts';
import { systemClock } from '#lib/std/clock.ts';
import { compare, percentile, ratioInWords } from './compare.ts';
import { createReferences, machine } from './machine-object.ts';
import { startBenchServer } from './server.ts';

const clients = 64;
const createsPerRun = 2_000;
const pairs = 5;
/** V8 goes on compiling for the first ten thousand: a server lives longer. */
const warmUpRuns = 5;

export async function apiWrites(): Promise<readonly string[]> {
  await using server = await startBenchServer();
  using raw = disposable(new Etcd3({ hosts: server.etcd }));
  await createReferences(server.client);
  const latencies: number[] = [];
  let made = 0;
  let run = 0;
  const names = (): readonly string[] => {
    run += 1;
    return Array.from({ length: createsPerRun }, (_, index) => `vm-${run}-${index}`);
  };
  const ours = () =>
    rate(names(), async (name) => {
      const started = systemClock.monotonic();
      await server.program.create(VirtualMachine, machine(name));
      latencies.push(systemClock.monotonic() - started);
      made += 1;
    });
  const baseline = () =>
    rate(names(), async (name) => {
      const key = `/bench/${name}`;
      const { succeeded } = await raw.client
        .if(key, 'Create', '==', 0)
        .then(raw.client.put(key).value(JSON.stringify(machine(name))))
        .commit();
      if (!succeeded) throw new Error(`${key} was already there`);
    });
  for (let i = 0; i < warmUpRuns; i++) await ours();
  latencies.length = 0;
  const comparison = await compare(pairs, ours, baseline);
  const { items } = await server.client.list(VirtualMachine, { namespace: 'default' });
  if (items.length !== made) throw new Error(`${made} objects were created and ${items.length} are there`);
  const p99 = percentile(latencies, 0.99);
  return [`P1 ${ratioInWords(comparison)} floor=0.4 goal=1.0 p99ms=${p99.toFixed(0)} objects=${made}`];
}

/** Work spread over the clients; returns pieces per second. */
async function rate(names: readonly string[], work: (name: string) => Promise<void>): Promise<number> {
  const queue = [...names];
  const started = systemClock.monotonic();
  await Promise.all(
    Array.from({ length: clients }, async () => {
      for (let name = queue.pop(); name !== undefined; name = queue.pop()) await work(name);
    }),
  );
  return names.length / ((systemClock.monotonic() - started) / 1000);
}

function disposable(client: Etcd3): Disposable & { readonly client: Etcd3 } {
  return { client, [Symbol.dispose]: () => client.close() };
}
