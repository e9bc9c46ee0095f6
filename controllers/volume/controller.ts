/**
 * Counts a Volume's machines, gives a Disk to one of them at a time, and holds the Volume while machines have it; then has its data removed,
 * if that is wanted. Making and removing on the Gluster volume, and its health, are the cluster server's to see to and to say. Conditions:
 * Ready, Reconciling, Stalled, Healthy, DeletionBlocked.
 */
import { type Controller, done, type Phase, wait } from '#controllers/runtime/controller.ts';
import type { Deps } from '#controllers/runtime/deps.ts';
import { conditionOf } from '#lib/api/conditions.ts';
import { Image, VirtualMachine, VMSnapshot, Volume } from '#lib/api/generated/index.ts';
import { type KubeObject, keyOf } from '#lib/api/meta.ts';
import { finalizers } from '#lib/api/names.ts';
import { isFilling, type SourceKind, sourceKeys } from '#lib/api/volume-sources.ts';
import { has, type Scope } from './scope.ts';
import { copiesOf } from './sources.ts';
import { summarize } from './status.ts';

export function volumeController(deps: Deps): Controller<Volume, Scope> {
  const machines = deps.cache(VirtualMachine, { volume: volumeKeys });
  const volumes = deps.cache(Volume, {
    image: (volume) => keyIn(volume, 'image'),
    snapshot: (volume) => keyIn(volume, 'snapshot'),
    volume: (volume) => keyIn(volume, 'volume'),
  });
  const images = deps.cache(Image);
  const snapshots = deps.cache(VMSnapshot);
  const fillers = (kind: 'image' | 'snapshot') => (source: KubeObject) => volumes.by(kind, keyOf(source)).map(keyOf);

  function load(volume: Volume): Scope {
    const { image, snapshot, volume: disk } = sourceKeys(volume);
    return {
      volume,
      machines: machines.by('volume', keyOf(volume)),
      copies: copiesOf(volume, volumes.by('volume', keyOf(volume))),
      sources: {
        ...(image !== undefined && { image: images.get(image) }),
        ...(snapshot !== undefined && { snapshot: snapshots.get(snapshot) }),
        ...(disk !== undefined && { volume: volumes.get(disk) }),
      },
    };
  }

  return {
    name: 'volume',
    for: Volume,
    reads: [VirtualMachine, Image, VMSnapshot],
    writes: [Volume],
    triggers: [
      { kind: VirtualMachine, map: volumeKeys, isNews: differ },
      { kind: Image, map: fillers('image') },
      { kind: VMSnapshot, map: fillers('snapshot') },
      // A Disk and what is made of it look at each other.
      {
        kind: Volume,
        map: (object) => [...volumes.by('volume', keyOf(object)).map(keyOf), ...keyIn(object as Volume, 'volume')],
      },
    ],
    load,
    phases: [holdFinalizer(deps)],
    finalize: [awaitUnused, awaitRemoval, removeFinalizer(deps)],
    summarize,
  };
}

function keyIn(volume: Volume, kind: SourceKind): readonly string[] {
  const key = sourceKeys(volume)[kind];
  return key === undefined ? [] : [key];
}

function volumeKeys(object: KubeObject): readonly string[] {
  const { metadata, spec, status } = object as VirtualMachine;
  const all = [...(spec.volumes ?? []), ...(status?.volumes ?? [])].map(({ volume }) => volume);
  return [...new Set(all)].map((name) => `${metadata.namespace}/${name}`);
}

/** In what a volume tells of its machines. */
function differ(old: KubeObject, now: KubeObject): boolean {
  const said = (vm: VirtualMachine) => {
    const { metadata, spec, status } = vm;
    return JSON.stringify([
      metadata.deletionTimestamp,
      spec.volumes,
      spec.placement?.cluster,
      spec.runPolicy,
      status?.volumes,
      status?.phase,
      status?.attempt?.number,
      status?.attempt?.host,
      conditionOf(vm, 'Reachable')?.status,
    ]);
  };
  return said(old as VirtualMachine) !== said(now as VirtualMachine);
}

function holdFinalizer({ client }: Deps): Phase<Scope> {
  return async ({ volume }, { signal }) => {
    const { namespace, name, resourceVersion, finalizers: held = [] } = volume.metadata;
    if (held.includes(finalizers.volumeInUse)) return done;
    const metadata = { resourceVersion, finalizers: [...held, finalizers.volumeInUse] };
    await client.patch(Volume, { namespace, name }, { metadata }, { signal });
    return wait('Pending', 'The finalizer was added; its event goes on');
  };
}

const awaitUnused: Phase<Scope> = ({ volume, machines, copies }) => {
  const count = machines.filter((vm) => has(vm, volume)).length;
  if (count > 0) return wait('InUse', `${count} machines have it`);
  const copying = copies.find(({ status }) => status?.source?.uid === volume.metadata.uid);
  return copying ? wait('InUse', `It is being copied into Volume "${copying.metadata.name}"`) : done;
};

/** What was never begun leaves nothing. What is half filled is of use to nobody, and whoever fills it has to stop. */
const awaitRemoval: Phase<Scope> = ({ volume }) => {
  const { backend } = volume.status ?? {};
  const isKept = volume.spec.reclaimPolicy === 'Retain' && !(isFilling(volume) && backend?.host !== undefined);
  if (isKept || backend === undefined || backend.state === 'Removed') return done;
  const why = backend?.reason ? `: ${backend.message}` : '';
  return wait('Removing', `Its data is being removed by a host of Cluster "${volume.spec.cluster}"${why}`);
};

function removeFinalizer({ client }: Deps): Phase<Scope> {
  return async ({ volume }, { signal }) => {
    const { namespace, name, resourceVersion, finalizers: held = [] } = volume.metadata;
    const rest = held.filter((finalizer) => finalizer !== finalizers.volumeInUse);
    if (rest.length < held.length)
      await client.patch(Volume, { namespace, name }, { metadata: { resourceVersion, finalizers: rest } }, { signal });
    return done;
  };
}
