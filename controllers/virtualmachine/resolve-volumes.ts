import { done, type Outcome, type Phase, wait } from '#controllers/runtime/controller.ts';
import type { VirtualMachine, Volume } from '#lib/api/generated/index.ts';
import { seedFormatOf } from '#lib/api/seeds.ts';
import type { ResolvedVolume, Scope } from './scope.ts';

type Wish = NonNullable<VirtualMachine['spec']['volumes']>[number];

/** The volumes, all of them in the machine's Cluster, and each Disk given to this machine and no other. Condition: VolumesReady. */
export const resolveVolumes: Phase<Scope> = (scope) => {
  const wishes = scope.vm.spec.volumes ?? [];
  const resolved: ResolvedVolume[] = [];
  for (const wish of wishes) {
    const volume = scope.volumeOf(wish.volume);
    if (!volume)
      return wait('NotFound', `Volume "${wish.volume}" does not exist. It goes on by itself once somebody creates it`);
    const refusal = refusalOf(scope, wish, volume);
    if (refusal) return refusal;
    resolved.push(volumeStatus(wish, volume));
  }
  if (wishes.length > 0 || scope.vm.status?.volumes) scope.resolved.volumes = resolved;
  scope.met.add('VolumesReady');
  return done;
};

function refusalOf(scope: Scope, wish: Wish, volume: Volume): Outcome | undefined {
  const { vm } = scope;
  const { name } = volume.metadata;
  const { cluster, type } = volume.spec;
  const isKnown = vm.status?.volumes?.some(({ uid }) => uid === volume.metadata.uid);
  if (volume.metadata.deletionTimestamp && !isKnown)
    return wait('Failed', `Volume "${name}" is being deleted. Name another one`);
  const wanted = vm.spec.placement?.cluster;
  if (wanted !== cluster)
    return wait(
      'WrongCluster',
      `Volume "${name}" is in Cluster "${cluster}", and the machine may run in ${wanted === undefined ? 'any' : `"${wanted}"`}: set spec.placement.cluster to "${cluster}", or name another Volume`,
    );
  if (wish.mountPath !== undefined) {
    const why = whyNotMounted(scope, type);
    if (why) return wait('Failed', `${why}: leave out mountPath of "${wish.name}"`);
  }
  const { state, failures = 0, message = '' } = volume.status?.backend ?? {};
  if (state !== 'Made' && failures > 0) return wait('Failed', `Volume "${name}" cannot be made: ${message}`);
  if (volume.spec.sources && state !== 'Made')
    return wait('Waiting', `Disk "${name}" does not have what its sources have yet. It goes on when it is made`);
  if (type !== 'Disk') return undefined;
  return volume.spec.accessMode === 'ROX' ? notYetToRead(volume) : notGiven(scope, volume);
}

function notYetToRead({ metadata, status }: Volume): Outcome | undefined {
  const { name } = metadata;
  if (status?.accessMode !== 'ROX') {
    const by = status?.writer ? `machine "${status.writer.name}" may write to it until that is proven gone` : 'soon';
    return wait('Waiting', `Disk "${name}" is to be read by many, but is not yet: ${by}`);
  }
  if (status.backend?.state !== 'Made') return wait('Waiting', `Disk "${name}" is not made yet`);
  return undefined;
}

function whyNotMounted({ vm, image }: Scope, type: Volume['spec']['type']): string | undefined {
  if (type === 'Disk') return 'A Disk is mounted by the guest itself';
  const format = seedFormatOf(vm.spec, image?.spec.osType ?? 'Linux');
  return format === 'CloudInit' || format === 'ConfigDrive'
    ? undefined
    : `What reads a seed of the format ${format} mounts nothing`;
}

function notGiven({ vm }: Scope, { metadata, status }: Volume): Outcome | undefined {
  const writer = status?.writer;
  if (writer?.uid === vm.metadata.uid) return undefined;
  if (writer?.copies)
    return wait(
      'Waiting',
      `Disk "${metadata.name}" is being copied into Volume "${writer.name}": it is free after that`,
    );
  if (!writer) return wait('Waiting', `Disk "${metadata.name}" is about to be given to a machine`);
  if (writer.unreachable)
    return wait(
      'FencingRequired',
      `Disk "${metadata.name}" is held by machine "${writer.name}", whose host ${writer.host ?? 'unknown'} is not reached: it may still write. It is free ` +
        'when that host answers or was booted, or somebody vouches for its death (annotation confirmed-dead on the Host), and the machine is deleted',
    );
  return wait(
    'Waiting',
    `Disk "${metadata.name}" is held by machine "${writer.name}" until that is deleted and proven gone`,
  );
}

function volumeStatus({ name, readOnly }: Wish, { metadata, spec, status }: Volume): ResolvedVolume {
  const isForReaders = spec.accessMode === 'ROX';
  return {
    name,
    volume: metadata.name,
    uid: metadata.uid,
    type: spec.type,
    // One that is being made larger is as large as it was until it is.
    size: status?.backend?.size ?? status?.capacity ?? spec.size,
    glusterVolume: spec.backend.gluster.volume,
    ...(spec.type === 'Disk' && !isForReaders && { grant: status!.writer!.grant }),
    ...((readOnly || isForReaders) && { readOnly: true }),
    ...(spec.backend.allowUnsafe && { allowUnsafe: true }),
    ...(status?.backend?.state === 'Made' && { made: true }),
  };
}
