/**
 * P7: what it costs when nothing happens: 1,000 hosts that beat every 10 s, 100 machines and then 10,000, all as they should be. The processor's time
 * of API server, controllers and cluster server together as a share of one core, also against putting each heartbeat straight into etcd; what
 * they ask of each other and of Mesos, what is written, which offers are held. P8, the controllers' part: then controllers and cluster server are killed,
 * a machine is asked for, and both are started again. BENCH_IDLE=100,10000x1000 sets other numbers of machines and hosts, BENCH_IDLE_SECONDS
 * another time (120).
 */
import { Cluster, VirtualMachine } from '#lib/api/generated/index.ts';
import { systemClock } from '#lib/std/clock.ts';
import { apiCalls, type Counts, difference, isElection, isWrite, listed, mesosCalls, sum } from './counters.ts';
import { type Factory, type Part, startFactory } from './factory.ts';
import { cpuSeconds, until } from './programs.ts';
import { rawEtcd } from './raw-etcd.ts';

const [machineText, hostText] = (process.env.BENCH_IDLE ?? '100,10000x1000').split('x');
const sizes = machineText!.split(',').map(Number);
const hosts = Number(hostText);
const seconds = Number(process.env.BENCH_IDLE_SECONDS ?? 120);
/** Offers are given back when there was no work for 20 s, and the last figures are written within 10. */
const settleMs = 40_000;
const ours = ['apiserver', 'controllers', 'cluster-server'] as const;

export async function idle(): Promise<readonly string[]> {
  const most = Math.max(...sizes);
  await using factory = await startFactory({ hosts, machinesPerHost: Math.ceil(most / hosts) + 1 });
  const raw = await rawHeartbeats(factory);
  for (const machines of sizes) {
    await factory.scale(machines);
    await factory.ready(machines);
    await systemClock.sleep(settleMs);
    for (const line of await watchIdle(factory, machines, raw)) console.log(line);
  }
  return await restart(factory, sizes.at(-1)!);
}

async function watchIdle(factory: Factory, machines: number, rawShare: number): Promise<readonly string[]> {
  const before = await look(factory);
  await systemClock.sleep(seconds * 1000);
  const after = await look(factory);
  const share = (part: Part) => (after.cpu[part] - before.cpu[part]) / seconds;
  const all = ours.reduce((total, part) => total + share(part), 0);
  const calls = difference(after.api, before.api);
  const mesos = difference(after.mesos, before.mesos);
  const perMinute = (count: number) => ((count / seconds) * 60).toFixed(1);
  const { items } = await factory.server.client.list(VirtualMachine, { namespace: 'default' });
  if (items.length !== machines) throw new Error(`${items.length} machines are there, not ${machines}`);
  const size = `machines=${machines} hosts=${hosts}`;
  return [
    `P7 ${size} cpuPercent=${(all * 100).toFixed(1)} floor=25 goal=5 ${ours.map((part) => `${part}=${(share(part) * 100).toFixed(1)}`).join(' ')} rawPutsPercent=${(rawShare * 100).toFixed(1)} ratio=${(all / rawShare).toFixed(2)} floor=3 goal=1.2`,
    `P7 ${size} objectWrites=${sum(calls, isWrite)} goal=0 offersHeld=${after.offersHeld} electionCallsPerMinute=${perMinute(sum(calls, isElection))} seconds=${seconds}`,
    `P7 ${size} mesosCallsPerMinute=${perMinute(sum(mesos))} ${inMinutes(mesos)}`,
    `P7 ${size} apiCallsPerMinute=${perMinute(sum(calls))} ${inMinutes(calls)}`,
  ];
}

const inMinutes = (counts: Counts) => listed(counts, seconds / 60, 1);

async function look({ server, master, cpu }: Factory) {
  const cluster = await server.client.get(Cluster, { name: 'local' });
  const offersHeld = cluster.status?.offers?.held ?? 0;
  return { api: await apiCalls(server), mesos: await mesosCalls(master), cpu: cpu(), offersHeld };
}

/** Share of a core for so many heartbeats as puts of 1 KiB: of etcd, and of the process that puts. */
async function rawHeartbeats({ server }: Factory): Promise<number> {
  using etcd = rawEtcd(server.etcd);
  const value = 'x'.repeat(1024);
  const rounds = 10;
  const spent = () => cpuSeconds(process.pid) + cpuSeconds(server.etcdPid());
  const before = spent();
  const started = systemClock.monotonic();
  // A tenth of the hosts each second.
  for (let round = 0; round < rounds; round += 1) {
    for (let index = 0; index < hosts / 10; index += 1) {
      await etcd.client.put(`/beats/${index}`).value(value).exec();
      await systemClock.sleep(Math.max(0, started + (round + index / (hosts / 10)) * 1000 - systemClock.monotonic()));
    }
  }
  return (spent() - before) / ((systemClock.monotonic() - started) / 1000);
}

async function restart(factory: Factory, machines: number): Promise<readonly string[]> {
  const { controllers, clusterServer, server } = factory;
  await Promise.all([controllers.kill9(), clusterServer.kill9()]);
  await factory.scale(machines + 1);
  const started = systemClock.monotonic();
  controllers.restart();
  clusterServer.restart();
  const since = () => systemClock.monotonic() - started;
  const reconciled = clusterServer.logged('"Reconciled"').then(since);
  const placed = until('the first placement', async () => {
    const newest = { name: `bench-${machines}`, namespace: 'default' };
    return (
      (await server.client.get(VirtualMachine, newest).catch(() => undefined))?.status?.attempt?.host !== undefined
    );
  }).then(since);
  const [placedMs, reconciledMs] = await Promise.all([placed, reconciled]);
  await factory.ready(machines + 1);
  await factory.controllersIdle();
  const fullMs = Math.max(since(), reconciledMs);
  const raw = await rawList(factory, machines + 1);
  return [
    `P8 controllers machines=${machines} hosts=${hosts} firstPlacementMs=${placedMs.toFixed(0)} floorMs=15000 goalMs=2000 fullReconcileMs=${fullMs.toFixed(0)} floorMs=60000 goalMs=5000 reconciledWithMesosMs=${reconciledMs.toFixed(0)} rawListMs=${raw.toFixed(0)}`,
  ];
}

async function rawList({ server }: Factory, expected: number): Promise<number> {
  using etcd = rawEtcd(server.etcd);
  const started = systemClock.monotonic();
  // Under their kind the store has a key of its own besides them.
  const keys = await etcd.client.getAll().prefix('/registry/computefactory.io/virtualmachines/default/').buffers();
  if (Object.keys(keys).length !== expected) throw new Error('The raw list is not whole');
  return systemClock.monotonic() - started;
}
