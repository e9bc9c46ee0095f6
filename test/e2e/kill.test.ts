/**
 * kill -9 of everything, at random moments, while a factory goes 0 → 200 → 80 → 200 cores. The same seed
 * has the same victims in the same order.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { runningProcess } from '#cli/local/keeper.ts';
import { marker, programsOf } from '#cli/local/programs.ts';
import { localPaths, readSettings } from '#cli/local/settings.ts';
import { isTrue } from '#lib/api/conditions.ts';
import { ComputeFactory, IPLease, VirtualMachine } from '#lib/api/generated/index.ts';
import { systemClock } from '#lib/std/clock.ts';
import { type ProcessIdentity, processesMarked, signalProcess } from '#lib/std/process-identity.ts';
import { type Random, seededRandom } from '#lib/std/random.ts';
import { seed } from '../seed.ts';
import { type LocalCluster, must, placeTinyImage, samples, startLocalCluster } from './local-cluster.ts';
import { observe, runningDomains } from './sim-observer.ts';

const namespace = 'studio-a';
const killsPerStep = 18;
const steps = [200, 80, 200];

/** Every process that may be killed: the programs by name, supervisors and workers of executors by what they are. */
function victims(dir: string): readonly { readonly what: string; readonly identity: ProcessIdentity }[] {
  const named = programsOf(readSettings(dir)!).flatMap(({ name }) => {
    const identity = runningProcess(dir, name);
    return identity ? [{ what: name, identity }] : [];
  });
  const executors = processesMarked(marker, dir).flatMap((identity) => {
    const command = commandOf(identity.pid);
    return /executor\/(main|worker)\.ts/.test(command)
      ? [{ what: command.includes('worker') ? 'executor worker' : 'executor supervisor', identity }]
      : [];
  });
  return [...named, ...executors];
}

function commandOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ');
  } catch {
    return ''; // it ended between the list and the look
  }
}

/** Picks a kind of victim first, so that five executors do not hide one master. */
function killOne(dir: string, random: Random): string | undefined {
  const kinds = Object.values(Object.groupBy(victims(dir), ({ what }) => what.replace(/-?host-\d+$/, '')));
  const kind = kinds[Math.floor(random.next() * kinds.length)];
  const victim = kind?.[Math.floor(random.next() * kind.length)];
  if (!victim || !signalProcess(victim.identity.pid, 'SIGKILL')) return undefined;
  return victim.what;
}

async function scale(cluster: LocalCluster, target: number): Promise<void> {
  const deadline = systemClock.monotonic() + 60_000;
  for (;;) {
    const { code, stderr } = await cluster.factoryctl('scale', 'cf/render', `--replicas=${target}`, '-n', namespace);
    if (code === 0) return;
    if (systemClock.monotonic() > deadline) throw new Error(`Could not scale to ${target}: ${stderr}`);
    await systemClock.sleep(200); // the API server may just have been killed
  }
}

async function settled(cluster: LocalCluster, target: number): Promise<boolean> {
  try {
    const factory = await cluster.client.get(ComputeFactory, { name: 'render', namespace });
    const current =
      factory.spec.capacity.target === target && factory.status?.observedGeneration === factory.metadata.generation;
    if (!current || !isTrue(factory, 'Ready')) return false;
    const { items } = await cluster.client.list(VirtualMachine, { namespace });
    return items.every((vm) => !vm.metadata.deletionTimestamp && isTrue(vm, 'Ready'));
  } catch {
    return false; // the API server may just have been killed: look again
  }
}

test('kill -9 at random moments of 0 → 200 → 80 → 200 cores', { timeout: 900_000 }, async () => {
  const random = seededRandom(seed);
  await using cluster = await startLocalCluster();
  placeTinyImage(cluster.dir);
  await using observer = observe(cluster.dir);
  const files = ['00-namespace', '10-subnet', '20-image', '30-render'].flatMap((name) => [
    '-f',
    join(samples, `${name}.yaml`),
  ]);
  await must(cluster.factoryctl('apply', ...files));
  const killed: string[] = [];
  for (const target of steps) {
    await scale(cluster, target);
    for (let kills = 0; kills < killsPerStep; ) {
      await systemClock.sleep(100 + random.next() * 1200);
      const victim = killOne(cluster.dir, random);
      if (victim) kills += 1;
      if (victim) killed.push(victim);
    }
    await expect
      .poll(() => settled(cluster, target), {
        timeout: 240_000,
        interval: 500,
        message: `${target} cores after killing ${killed.join(', ')}`,
      })
      .toBe(true);
    await expectExact(cluster, target);
  }
  const counts = Object.entries(Object.groupBy(killed, (what) => what)).map(([what, of]) => `${of!.length} x ${what}`);
  console.log(`killed ${killed.length}: ${counts.join(', ')}; ${observer.looks} looks`);
  expect(killed.length).toBeGreaterThanOrEqual(50);
  expect(observer.doubles).toEqual([]);
  const wanted = (await cluster.client.list(VirtualMachine, { namespace })).items.map(({ metadata }) => metadata.uid);
  for (const uid of wanted) expect(observer.lives.get(uid)?.size, `lives of ${uid}`).toBe(1);
  await must(cluster.factoryctl('delete', 'cf', 'render', '-n', namespace, '--timeout=2m'));
  await expect
    .poll(() => left(cluster), { timeout: 120_000, interval: 500 })
    .toEqual({ machines: 0, leases: 0, domains: 0, disks: 0 });
});

/** So many cores, each machine's domain running once, and no other domain. */
async function expectExact(cluster: LocalCluster, target: number): Promise<void> {
  const { items } = await cluster.client.list(VirtualMachine, { namespace });
  const cores = items.map(({ status }) => status?.instanceType?.cores ?? 0).reduce((a, b) => a + b, 0);
  expect(cores).toBeGreaterThanOrEqual(target);
  expect(cores).toBeLessThan(target + 48);
  const uids = items.map(({ metadata }) => metadata.uid).sort();
  await expect
    .poll(
      () =>
        runningDomains(cluster.dir)
          .map(({ uid }) => uid)
          .sort(),
      { timeout: 60_000 },
    )
    .toEqual(uids);
}

async function left(cluster: LocalCluster) {
  const [machines, leases] = await Promise.all([cluster.client.list(VirtualMachine), cluster.client.list(IPLease)]);
  const hosts = readSettings(cluster.dir)!.hosts.map(({ name }) =>
    join(localPaths(cluster.dir).host(name), 'executor'),
  );
  const entries = (folder: string) =>
    hosts.flatMap((host) => readdirSync(join(host, folder), { withFileTypes: true }).map(({ name }) => name)).length;
  return {
    machines: machines.items.length,
    leases: leases.items.length,
    domains: entries('sim/domains'),
    disks: entries('vms'),
  };
}
