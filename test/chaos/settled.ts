/** What must be true once faults have stopped and time has passed: everything wanted runs, nothing else is left, and nobody writes. */
import { Lease } from '#lib/api/core.ts';
import {
  Cluster,
  ComputeFactory,
  factoryKinds,
  Host,
  Image,
  IPLease,
  Subnet,
  VirtualMachine,
  VMOperation,
  VMPool,
} from '#lib/api/generated/index.ts';
import { controllerOf, type Kind, type KubeObject, keyOf } from '#lib/api/meta.ts';
import { kindId } from '#lib/client/kind-id.ts';
import type { Observer } from './observer.ts';
import type { World } from './world.ts';

/** What is not yet as it must be; empty if all is well. */
export function unsettled(world: World, observer: Observer): readonly string[] {
  const machines = observer.machines();
  return [
    ...machines.flatMap((vm) => wrongMachine(world, vm)),
    ...leftovers(world, machines),
    ...heldLeases(world, machines),
    ...openOperations(world),
    ...tombstones(world),
    ...ownerless(world),
    ...wrongPools(world, machines),
    ...wrongFactories(world, machines),
    ...held(world, Image),
    ...held(world, Subnet),
    ...unfinishedImages(world),
    ...orphans(world),
    ...observer.sessions.heldOffers().map((id) => `Offer ${id} is held for nobody`),
  ];
}

function wrongMachine(world: World, { metadata, spec, status }: VirtualMachine): readonly string[] {
  const attempt = status?.attempt;
  const name = `Machine ${metadata.name} ${metadata.uid}`;
  if (metadata.deletionTimestamp) return [`${name} is still being deleted: ${JSON.stringify(attempt)}`];
  if (status?.migration) return [`${name} is on its way still: ${JSON.stringify(status.migration)}`];
  const off = spec.runPolicy === 'Halted' || status?.requestedPower === 'Off';
  const wanted = off ? 'Stopped' : 'Running';
  if (status?.phase !== wanted) {
    const reasons = (status?.conditions ?? []).filter((each) => each.status !== 'True').map(({ message }) => message);
    return [`${name} is ${status?.phase}, wanted ${wanted}: ${JSON.stringify(attempt)} ${reasons.join('; ')}`];
  }
  const host = world.hosts.find((each) => each.host.hostname === attempt?.host)?.host;
  if (host?.domains.get(metadata.uid)?.unplugged) return [`${name} runs on ${attempt?.host} without its networks`];
  const real = host?.at(metadata.uid);
  if ((real?.power ?? 'Off') === (off ? 'Off' : 'On')) return [];
  return [`${name} is said to be ${wanted} and is ${real?.power} on ${attempt?.host}`];
}

function leftovers(world: World, machines: readonly VirtualMachine[]): readonly string[] {
  const hostOf = new Map(machines.map(({ metadata, status }) => [metadata.uid, status?.attempt?.host]));
  // After somebody vouched for a host nothing need be launched there, and without an executor nobody sees what is left.
  const seen = world.hosts.filter(({ isVouched, supervisors }) => !isVouched || supervisors.size > 0);
  return seen.flatMap(({ host }) =>
    [...new Set([...host.domains.keys(), ...host.disks, ...host.nics.keys()])]
      .filter((uid) => hostOf.get(uid) !== host.hostname)
      .map((uid) => `Host ${host.hostname} still has something of machine ${uid}, whose host is ${hostOf.get(uid)}`),
  );
}

function heldLeases(world: World, machines: readonly VirtualMachine[]): readonly string[] {
  const uids = new Set(machines.map(({ metadata }) => metadata.uid));
  const leases = world.api.store.list(kindId(IPLease)) as readonly IPLease[];
  return leases.flatMap(({ metadata: { name }, spec: { holderUID }, status }) => {
    if (status?.quarantinedUntil) return [`Lease ${name} rests until ${status.quarantinedUntil}`];
    const isLeft = holderUID && !uids.has(holderUID);
    return isLeft ? [`Lease ${name} is left of machine ${holderUID}, which does not exist`] : [];
  });
}

/** Hosts answer again, and are clean. */
function tombstones(world: World): readonly string[] {
  const hosts = world.api.store.list(kindId(Host)) as readonly Host[];
  return hosts.flatMap(({ spec, status }) =>
    (status?.pendingCleanup ?? []).map(
      ({ name, uid }) => `Host ${spec.hostname} is not clean of machine ${name} ${uid}`,
    ),
  );
}

/** A superseded one is not carried out, because of what was asked for after it. */
const overPhases: readonly string[] = ['Completed', 'Failed', 'Superseded'];

function openOperations(world: World): readonly string[] {
  const operations = world.api.store.list(kindId(VMOperation)) as readonly VMOperation[];
  return operations
    .filter(({ status }) => !overPhases.includes(status?.phase ?? ''))
    .map((operation) => `Operation ${keyOf(operation)} is ${operation.status?.phase}: ${operation.status?.message}`);
}

/** Their owners are gone, so they are about to go. */
function ownerless(world: World): readonly string[] {
  const all = [ComputeFactory, VMPool, VirtualMachine].flatMap((kind) => [...world.api.store.list(kindId(kind))]);
  const uids = new Set(all.map(({ metadata }) => metadata.uid));
  return all.flatMap((object) => {
    const owner = controllerOf(object);
    if (!owner || uids.has(owner.uid)) return [];
    return [`${object.kind} ${keyOf(object)} is left of ${owner.name}, which does not exist`];
  });
}

function ownedBy(owner: KubeObject, machines: readonly VirtualMachine[]): readonly VirtualMachine[] {
  return machines.filter((each) => controllerOf(each)?.uid === owner.metadata.uid);
}

function wrongPools(world: World, machines: readonly VirtualMachine[]): readonly string[] {
  const pools = world.api.store.list(kindId(VMPool)) as readonly VMPool[];
  return pools.flatMap((pool) => {
    const { length } = ownedBy(pool, machines);
    const name = `Pool ${keyOf(pool)}`;
    if (pool.metadata.deletionTimestamp) return [`${name} is still being deleted`];
    return length === pool.spec.replicas ? [] : [`${name} has ${length} machines, wanted ${pool.spec.replicas}`];
  });
}

function wrongFactories(world: World, machines: readonly VirtualMachine[]): readonly string[] {
  const pools = world.api.store.list(kindId(VMPool));
  const factories = world.api.store.list(kindId(ComputeFactory)) as readonly ComputeFactory[];
  return factories.flatMap((factory) => {
    if (factory.metadata.deletionTimestamp) return [`Factory ${keyOf(factory)} is still being deleted`];
    const own = pools.filter((each) => controllerOf(each)?.uid === factory.metadata.uid);
    const sizes = own.flatMap((pool) => ownedBy(pool, machines)).map(({ spec }) => spec.resources?.cores ?? 0);
    const cores = sizes.reduce((sum, size) => sum + size, 0);
    const { target } = factory.spec.capacity;
    // By the published rule a machine goes only if the target is met without it.
    const isRight = cores >= target && sizes.every((size) => cores - size < target);
    return isRight ? [] : [`Factory ${keyOf(factory)} has ${cores} cores, wanted ${target}`];
  });
}

/** Deleted, and nobody uses it any more. */
function held(world: World, kind: Kind): readonly string[] {
  const machines = world.api.store.list(kindId(VirtualMachine)) as readonly VirtualMachine[];
  const used = new Set(
    machines.flatMap(({ metadata, spec }) =>
      [spec.image.name, ...(spec.networks ?? []).map(({ subnet }) => subnet)].map(
        (name) => `${metadata.namespace}/${name}`,
      ),
    ),
  );
  return world.api.store
    .list(kindId(kind))
    .filter((object) => object.metadata.deletionTimestamp && !used.has(keyOf(object)))
    .map((object) => `${kind.kind} ${keyOf(object)} is still being deleted, and nobody uses it`);
}

function unfinishedImages(world: World): readonly string[] {
  const images = world.api.store.list(kindId(Image)) as readonly Image[];
  return images
    .filter(({ metadata, status }) => !metadata.deletionTimestamp && !/^(Ready|Failed)$/.test(status?.phase ?? ''))
    .map((image) => `Image ${keyOf(image)} is ${image.status?.phase}`);
}

/** Killed after some minutes. */
function orphans(world: World): readonly string[] {
  const clusters = world.api.store.list(kindId(Cluster)) as readonly Cluster[];
  return clusters.flatMap(({ status }) => (status?.orphanTasks ? [`${status.orphanTasks} tasks have no machine`] : []));
}

/** What was written since this revision although all was settled. Heartbeats of hosts and of leaders are no news. */
export function writtenSince(world: World, revision: number): readonly string[] {
  return factoryKinds
    .filter((kind) => kindId(kind) !== kindId(Lease))
    .flatMap((kind) =>
      world.api.store
        .changesAfter(kindId(kind), revision)
        .filter(({ object, previous }) => !(kind.kind === Host.kind && onlyTime(object as Host, previous as Host)))
        .map(({ type, object }) => `${kind.kind} ${keyOf(object)} is ${type} although all is settled`),
    );
}

/** A heartbeat, or that failures are so long ago that they count no more. */
function onlyTime(now: Host, before: Host | undefined): boolean {
  const timely = { lastHeartbeat: undefined, score: undefined };
  const rest = ({ spec, status }: Host) => JSON.stringify({ spec, status: { ...status, ...timely } });
  return before !== undefined && rest(now) === rest(before) && (now.status?.score ?? 0) <= (before.status?.score ?? 0);
}
