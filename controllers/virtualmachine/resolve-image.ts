import { done, type Outcome, type Phase, wait } from '#controllers/runtime/controller.ts';
import type { Image, VirtualMachine } from '#lib/api/generated/index.ts';
import { publicNamespace } from '#lib/api/names.ts';
import type { Scope } from './scope.ts';

/** Where spec.image is. Only the machine's own namespace and cf-public may be named; undefined for any other. */
export function imageKeyOf(vm: VirtualMachine): string | undefined {
  const own = vm.metadata.namespace!;
  const namespace = vm.spec.image.namespace || own;
  return namespace === own || namespace === publicNamespace ? `${namespace}/${vm.spec.image.name}` : undefined;
}

/** The bytes to boot from, by digest, in a cluster where it may run. Condition: ImageReady. */
export const resolveImage: Phase<Scope> = (scope) => {
  const { vm, image } = scope;
  // Resolved once: an attempt after this one boots the same bytes, also when the Image is being deleted.
  const known = vm.status?.image;
  if (known?.digest && `${known.namespace}/${known.name}` === imageKeyOf(vm)) scope.resolved.image = known;
  else {
    const refusal = image ? notReady(vm, image) : missing(vm);
    if (refusal) return refusal;
    scope.resolved.image = imageStatus(image!);
  }
  scope.met.add('ImageReady');
  return done;
};

function missing(vm: VirtualMachine): Outcome {
  const { name, namespace } = vm.spec.image;
  if (imageKeyOf(vm) === undefined)
    return wait(
      'NotFound',
      `Image "${name}" is in namespace "${namespace}": only this namespace and ${publicNamespace} may be used`,
    );
  return wait('NotFound', `Image "${imageKeyOf(vm)}" does not exist. It goes on by itself once somebody creates it`);
}

function notReady(vm: VirtualMachine, image: Image): Outcome | undefined {
  const { name } = image.metadata;
  if (image.metadata.deletionTimestamp) return wait('Failed', `Image "${name}" is being deleted. Name another one`);
  const cluster = vm.spec.placement?.cluster;
  const home = image.spec.source.snapshot && image.status?.clusters?.[0]?.name;
  if (home !== undefined && cluster !== home)
    return wait(
      'Failed',
      `Image "${name}" stands on a snapshot, which is in Cluster ${home} alone: set placement.cluster: ${home}`,
    );
  const rows = (image.status?.clusters ?? []).filter((row) => cluster === undefined || row.name === cluster);
  if (rows.some((row) => row.phase === 'Ready') && image.status?.digest) return undefined;
  const failed = rows.find((row) => row.phase === 'Failed');
  if (failed)
    return wait(
      'Failed',
      `Image "${name}" could not be imported into ${failed.name}: ${failed.message ?? 'no details'}`,
    );
  const where = cluster === undefined ? 'any cluster' : cluster;
  return wait(
    'Waiting',
    `Image "${name}" is not in ${where} yet: ${image.status?.progress ?? image.status?.phase ?? 'Pending'}`,
  );
}

function imageStatus({ metadata, status }: Image): NonNullable<Scope['resolved']['image']> {
  return {
    name: metadata.name,
    namespace: metadata.namespace!,
    digest: status!.digest!,
    ...(status?.format && { format: status.format }),
    ...(status?.virtualSize !== undefined && { virtualSize: status.virtualSize }),
  };
}
