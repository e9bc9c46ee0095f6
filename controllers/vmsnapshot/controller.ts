/**
 * Binds a VMSnapshot to its machine and the host that has it, keeps its deadline, and holds it while Images stand on it; then has its data
 * removed, if that is wanted. Taking and removing is the cluster server's and its hosts' to do and to say. Conditions: Ready, Reconciling,
 * Stalled, DeletionBlocked.
 */
import { type Controller, done, type Phase, type Run, wait } from '#controllers/runtime/controller.ts';
import type { Deps } from '#controllers/runtime/deps.ts';
import { Cluster, Image, VirtualMachine, VMRestore, VMSnapshot, Volume } from '#lib/api/generated/index.ts';
import { keyOf } from '#lib/api/meta.ts';
import { finalizers } from '#lib/api/names.ts';
import { isFilling, sourceKeys } from '#lib/api/volume-sources.ts';
import { isCode } from '#lib/std/errors.ts';
import { deadlineMs } from './next.ts';
import { isOver, type Scope } from './scope.ts';
import { summarize } from './status.ts';

export function vmSnapshotController(deps: Deps): Controller<VMSnapshot, Scope> {
  const machines = deps.cache(VirtualMachine);
  const images = deps.cache(Image, { snapshot: (image) => snapshotKeys(image) });
  const snapshots = deps.cache(VMSnapshot, { machine: (snapshot) => [machineKey(snapshot)] });

  // Their end lets go of a snapshot.
  deps.cache(VMRestore);
  deps.cache(Volume);

  async function load(snapshot: VMSnapshot, run: Run): Promise<Scope> {
    const cached = machines.get(machineKey(snapshot));
    // Failing is final, so an absence has to be certain: the machine may be younger than the cache.
    const isOpen = !isOver(snapshot.status?.phase) && !snapshot.metadata.deletionTimestamp;
    const machine = cached ?? (isOpen ? await liveMachine(deps, snapshot, run) : undefined);
    return { snapshot, machine, images: images.by('snapshot', keyOf(snapshot)) };
  }

  return {
    name: 'vmsnapshot',
    for: VMSnapshot,
    reads: [VirtualMachine, Image, VMRestore, Volume, Cluster],
    writes: [VMSnapshot, Image],
    triggers: [
      { kind: VirtualMachine, map: (vm) => snapshots.by('machine', keyOf(vm)).map(keyOf) },
      { kind: Image, map: (image) => snapshotKeys(image as Image) },
      {
        kind: VMRestore,
        map: (restore) => [`${restore.metadata.namespace}/${(restore as VMRestore).spec.snapshot}`],
      },
      { kind: Volume, map: (volume) => [sourceKeys(volume as Volume).snapshot].filter((key) => key !== undefined) },
    ],
    load,
    phases: [holdFinalizer(deps), waitForDeadline],
    finalize: [removeOwnImage(deps), awaitUnused(deps), awaitRemoval(deps), removeFinalizer(deps)],
    summarize,
  };
}

const machineKey = ({ metadata, spec }: VMSnapshot) => `${metadata.namespace}/${spec.vm}`;

function snapshotKeys({ metadata, spec }: Image): readonly string[] {
  const name = spec.source.snapshot?.name;
  return name === undefined ? [] : [`${metadata.namespace}/${name}`];
}

async function liveMachine({ client }: Deps, { metadata, spec }: VMSnapshot, run: Run) {
  try {
    return await client.get(VirtualMachine, { name: spec.vm, namespace: metadata.namespace }, { signal: run.signal });
  } catch (error) {
    if (isCode(error, 'NotFound')) return undefined;
    throw error;
  }
}

function holdFinalizer({ client }: Deps): Phase<Scope> {
  return async ({ snapshot }, { signal }) => {
    const { namespace, name, resourceVersion, finalizers: held = [] } = snapshot.metadata;
    if (held.includes(finalizers.snapshotCleanup)) return done;
    const metadata = { resourceVersion, finalizers: [...held, finalizers.snapshotCleanup] };
    await client.patch(VMSnapshot, { namespace, name }, { metadata }, { signal });
    return wait('Pending', 'The finalizer was added; its event goes on');
  };
}

const waitForDeadline: Phase<Scope> = ({ snapshot }, run) => {
  const leftMs = deadlineMs(snapshot) - run.nowMs;
  if (isOver(snapshot.status?.phase) || leftMs <= 0) return done;
  return wait('Waiting', 'Waiting for its host', leftMs);
};

/** The one that the VMRestore controller made for new machines. It goes with its last user. */
function removeOwnImage({ client }: Deps): Phase<Scope> {
  return async ({ snapshot, images }, { signal }) => {
    const own = images.filter(
      ({ metadata }) =>
        !metadata.deletionTimestamp && metadata.ownerReferences?.some(({ uid }) => uid === snapshot.metadata.uid),
    );
    for (const { metadata } of own)
      await client.delete(Image, metadata, { uid: metadata.uid, signal }).catch((error: unknown) => {
        if (!isCode(error, 'NotFound')) throw error;
      });
    return done;
  };
}

/**
 * Asked of the server: what was made a moment ago counts, and whoever comes later finds that this is being deleted. A host may be copying
 * the data into a machine's place.
 */
function awaitUnused({ client }: Deps): Phase<Scope> {
  return async ({ snapshot }, { signal }) => {
    const { namespace = '', name, uid } = snapshot.metadata;
    const { items: images } = await client.list(Image, { namespace, signal });
    const users = images.filter(({ spec }) => spec.source.snapshot?.name === name).map(({ metadata }) => metadata.name);
    const { items: restores } = await client.list(VMRestore, { namespace, signal });
    const copying = restores.filter(({ status }) => status?.phase === 'InProgress' && status.snapshotUID === uid);
    if (users.length > 0)
      return wait(
        'InUse',
        `${users.length} Images stand on it: ${users.toSorted().slice(0, 3).join(', ')}. It goes with the last`,
      );
    const { items: volumes } = await client.list(Volume, { namespace, signal });
    const filling = volumes.filter((one) => sourceKeys(one).snapshot === keyOf(snapshot) && isFilling(one));
    if (filling.length > 0) return wait('InUse', `It is being copied into Volume "${filling[0]!.metadata.name}"`);
    return copying.length > 0 ? wait('InUse', `VMRestore ${copying[0]!.metadata.name} reads it`) : done;
  };
}

function awaitRemoval({ client }: Deps): Phase<Scope> {
  return async ({ snapshot: { spec, status = {} } }, { signal }) => {
    const { startedAt, removal, cluster = '', disks = [] } = status;
    const isKept = spec.deletionPolicy === 'Retain' && disks.length > 0 && removal !== 'Wanted';
    if (startedAt === undefined || removal === 'Removed' || isKept) return done;
    const isThere = await client.get(Cluster, { name: cluster }, { signal }).then(
      () => true,
      (error: unknown) => {
        if (isCode(error, 'NotFound')) return false;
        throw error;
      },
    );
    return isThere ? wait('Removing', `Waits for a host of Cluster ${cluster} to remove its data`) : done;
  };
}

function removeFinalizer({ client }: Deps): Phase<Scope> {
  return async ({ snapshot }, { signal }) => {
    const { namespace, name, resourceVersion, finalizers: held = [] } = snapshot.metadata;
    const rest = held.filter((finalizer) => finalizer !== finalizers.snapshotCleanup);
    if (rest.length < held.length)
      await client.patch(
        VMSnapshot,
        { namespace, name },
        { metadata: { resourceVersion, finalizers: rest } },
        { signal },
      );
    return done;
  };
}
