/** A machine made from a snapshot: the old one's spec, and nothing by which anybody could take it for the old one. */
import { Image, VirtualMachine, type VMRestore, type VMSnapshot } from '#lib/api/generated/index.ts';
import { apiVersionOf, type Draft, ownerReference } from '#lib/api/meta.ts';
import { annotations, finalizers, snapshotImageName } from '#lib/api/names.ts';

/** By which machines stand on the snapshot; it goes with it. */
export function draftImage(snapshot: VMSnapshot, osType: Image['spec']['osType']): Draft<Image> {
  const { namespace, name } = snapshot.metadata;
  return {
    apiVersion: apiVersionOf(Image),
    kind: Image.kind,
    metadata: {
      namespace: namespace!,
      name: snapshotImageName(name),
      ownerReferences: [{ ...ownerReference(snapshot), blockOwnerDeletion: false }],
    },
    spec: { source: { snapshot: { name } }, osType },
  };
}

/**
 * Addresses, hardware addresses and the host name are new, and so is the seed's instance id, which is the machine's uid. Volumes stay with the
 * old machine. It runs where the data is.
 */
export function draftMachine(restore: VMRestore, snapshot: VMSnapshot): Draft<VirtualMachine> {
  const old = JSON.parse(snapshot.status!.machine!) as VirtualMachine['spec'];
  const { hostname: _h, volumes: _v, gang: _g, networks, placement, ...rest } = old;
  return {
    apiVersion: apiVersionOf(VirtualMachine),
    kind: VirtualMachine.kind,
    metadata: {
      namespace: restore.metadata.namespace!,
      name: restore.spec.target.newVM!,
      annotations: { [annotations.restoredBy]: restore.metadata.uid },
      finalizers: [finalizers.vmCleanup],
    },
    spec: {
      ...rest,
      image: { name: snapshotImageName(snapshot.metadata.name) },
      ...(networks && { networks: networks.map(({ ip: _ip, ...network }) => network) }),
      placement: { ...placement, cluster: snapshot.status!.cluster! },
      deleteProtection: false,
    },
  };
}
