import { done, type Outcome, type Phase, wait } from '#controllers/runtime/controller.ts';
import type { Image, VirtualMachine } from '#lib/api/generated/index.ts';
import { askedImageKey } from '#lib/api/image-families.ts';
import { publicNamespace } from '#lib/api/names.ts';
import { chooseImage, usableOf } from './choose-image.ts';
import type { Scope } from './scope.ts';

/** The bytes to boot from, by digest, in a cluster where it may run. Condition: ImageReady. */
export const resolveImage: Phase<Scope> = (scope) => {
  const { vm } = scope;
  // Resolved once: an attempt after this one boots the same bytes, also when the Image is being deleted, or its family has a newer one.
  const known = vm.status?.image;
  if (known?.digest && isAskedFor(vm, known)) scope.resolved.image = known;
  else {
    const found = vm.spec.image.family ? fromFamily(scope) : named(scope);
    if ('done' in found) return found;
    scope.resolved.image = imageStatus(found, vm.spec.image.family);
  }
  scope.met.add('ImageReady');
  return done;
};

function isAskedFor(vm: VirtualMachine, known: NonNullable<Scope['resolved']['image']>): boolean {
  const { family, namespace } = vm.spec.image;
  if (!family) return `${known.namespace}/${known.name}` === askedImageKey(vm);
  return known.family === family && known.namespace === (namespace || vm.metadata.namespace);
}

function named({ vm, image }: Scope): Image | Outcome {
  if (!image) return missing(vm);
  return notReady(vm, image) ?? image;
}

function fromFamily({ vm, familyImages: images, siblingImage }: Scope): Image | Outcome {
  const { family, namespace } = vm.spec.image;
  const cluster = vm.spec.placement?.cluster;
  if (askedImageKey(vm) === undefined) return outside(vm);
  const chosen = chooseImage({ images, cluster, siblingImage: siblingImage() });
  if (chosen) return chosen;
  const of = `of the family "${family}" in namespace ${namespace || vm.metadata.namespace}`;
  const usable = usableOf(images, cluster);
  if (usable.length === 0) {
    const others =
      images.length > 0
        ? `All ${images.length} Images ${of} are deprecated, being deleted, or in another Cluster`
        : `There is no Image ${of}`;
    return wait('NotFound', `${others}. It goes on by itself once there is one`);
  }
  const examples = usable
    .slice(0, 3)
    .map(({ metadata, status }) => `${metadata.name} is ${status?.phase ?? 'Pending'}`);
  const isOver = usable.every(({ status }) => status?.phase === 'Failed');
  const message = `No Image ${of} is in ${cluster ?? 'any cluster'} yet: ${examples.join(', ')}`;
  return wait(isOver ? 'Failed' : 'Waiting', message);
}

function missing(vm: VirtualMachine): Outcome {
  const asked = askedImageKey(vm);
  if (asked === undefined) return outside(vm);
  return wait('NotFound', `Image "${asked}" does not exist. It goes on by itself once somebody creates it`);
}

function outside({ spec: { image } }: VirtualMachine): Outcome {
  const what = image.family ? `Family "${image.family}"` : `Image "${image.name}"`;
  return wait(
    'NotFound',
    `${what} is in namespace "${image.namespace}": only this namespace and ${publicNamespace} may be used`,
  );
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

function imageStatus({ metadata, status }: Image, family: string | undefined): NonNullable<Scope['resolved']['image']> {
  return {
    name: metadata.name,
    namespace: metadata.namespace!,
    ...(family && { family }),
    digest: status!.digest!,
    ...(status?.format && { format: status.format }),
    ...(status?.virtualSize !== undefined && { virtualSize: status.virtualSize }),
  };
}
