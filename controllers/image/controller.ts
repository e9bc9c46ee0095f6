/**
 * Sees to it that an Image has a row for every Cluster, and sums the rows up. The import itself is each cluster server's, which owns its
 * row. Holds the Image while machines use it. Conditions: Ready, Reconciling, Stalled, DeletionBlocked, Prefetched, RetryHandled (whose message
 * is the value of the annotation restarted-at that was acted on last).
 */
import { type Controller, done, type Phase, wait } from '#controllers/runtime/controller.ts';
import type { Deps } from '#controllers/runtime/deps.ts';
import { statusPace } from '#controllers/runtime/status-pace.ts';
import { conditionOf } from '#lib/api/conditions.ts';
import { Cluster, Image, VirtualMachine, VMSnapshot, Volume } from '#lib/api/generated/index.ts';
import { usedImageKey } from '#lib/api/image-families.ts';
import { keyOf } from '#lib/api/meta.ts';
import { annotations, finalizers } from '#lib/api/names.ts';
import { isFilling, sourceKeys } from '#lib/api/volume-sources.ts';
import { isCode } from '#lib/std/errors.ts';
import type { Scope } from './scope.ts';
import { summarize } from './status.ts';
import { newsOf } from './tell-news.ts';

export function imageController(deps: Deps): Controller<Image, Scope> {
  const images = deps.cache(Image, {
    snapshot: ({ metadata, spec }) => [`${metadata.namespace}/${spec.source.snapshot?.name}`],
  });
  const clusters = deps.cache(Cluster);
  // Its events make the Images due that stand on it.
  deps.cache(VMSnapshot);
  const machines = deps.cache(VirtualMachine, { usedImage: (vm) => usedImages(vm) });
  const volumes = deps.cache(Volume, { image: filledFrom });
  const pace = statusPace(5000);
  const news = newsOf(deps);

  function load(image: Image): Scope {
    const restartedAt = image.metadata.annotations?.[annotations.restartedAt] ?? '';
    return {
      image,
      clusters: clusters
        .list()
        .filter((one) => !one.metadata.deletionTimestamp)
        .map((one) => one.metadata.name),
      users: machines.count('usedImage', keyOf(image)),
      filling: volumes.by('image', keyOf(image)).map(keyOf).toSorted(),
      // Ten thousand machines may have one image, and each change of one comes by here.
      userNames: () => machines.by('usedImage', keyOf(image)).map(keyOf).toSorted(),
      restartedAt,
      retry: restartedAt !== '' && restartedAt !== conditionOf(image, 'RetryHandled')?.message,
      snapshot: undefined,
      holdStatus: false,
    };
  }

  /** The number of users changes with every machine; whatever else changes is written at once. */
  const paceUsers: Phase<Scope> = (scope, run) => {
    const next = summarize(scope, done, run);
    const { users: _users, ...rest } = next ?? {};
    const asBefore = { ...rest, ...(scope.image.status?.users !== undefined && { users: scope.image.status.users }) };
    if (!pace.isWritten(scope.image, asBefore)) return done;
    const outcome = pace.outcome(scope.image, next, run.nowMs);
    scope.holdStatus = !outcome.done;
    return outcome;
  };

  return {
    name: 'image',
    for: Image,
    reads: [Cluster, VirtualMachine, VMSnapshot, Volume],
    writes: [Image],
    triggers: [
      { kind: Cluster, map: () => images.list().map(keyOf) },
      { kind: VMSnapshot, map: (snapshot) => images.by('snapshot', keyOf(snapshot)).map(keyOf) },
      { kind: VirtualMachine, map: (vm) => usedImages(vm as VirtualMachine) },
      { kind: Volume, map: (volume) => filledFrom(volume as Volume) },
    ],
    load,
    phases: [holdFinalizer(deps), findSnapshot(deps), news.tell, paceUsers],
    finalize: [news.forget, awaitUnused, removeFinalizer(deps)],
    summarize,
  };
}

/** None for a machine that waits for its family. */
function usedImages(vm: VirtualMachine): readonly string[] {
  const key = usedImageKey(vm);
  return key === undefined ? [] : [key];
}

function filledFrom(volume: Volume): readonly string[] {
  const { image } = sourceKeys(volume);
  return image !== undefined && isFilling(volume) ? [image] : [];
}

function holdFinalizer({ client }: Deps): Phase<Scope> {
  return async ({ image }, { signal }) => {
    const { namespace, name, resourceVersion, finalizers: held = [] } = image.metadata;
    if (held.includes(finalizers.imageInUse)) return done;
    const metadata = { resourceVersion, finalizers: [...held, finalizers.imageInUse] };
    await client.patch(Image, { namespace, name }, { metadata }, { signal });
    return wait('Pending', 'The finalizer was added; its event goes on');
  };
}

/**
 * Asked of the server once the finalizer stands, until it has given the bytes: a snapshot that is not being deleted then stays for as long as
 * this names it.
 */
function findSnapshot({ client }: Deps): Phase<Scope> {
  return async (scope, { signal }) => {
    const { metadata, spec, status } = scope.image;
    const name = spec.source.snapshot?.name;
    if (name === undefined || status?.digest !== undefined) return done;
    try {
      scope.snapshot = await client.get(VMSnapshot, { namespace: metadata.namespace, name }, { signal });
    } catch (error) {
      if (!isCode(error, 'NotFound')) throw error;
      scope.snapshot = 'gone';
    }
    return done;
  };
}

const awaitUnused: Phase<Scope> = ({ users, filling }) => {
  if (users > 0) return wait('InUse', `${users} machines use it`);
  return filling.length > 0 ? wait('InUse', `It is being copied into Volume ${filling[0]}`) : done;
};

function removeFinalizer({ client }: Deps): Phase<Scope> {
  return async ({ image }, { signal }) => {
    const { namespace, name, resourceVersion, finalizers: held = [] } = image.metadata;
    const rest = held.filter((finalizer) => finalizer !== finalizers.imageInUse);
    if (rest.length < held.length)
      await client.patch(Image, { namespace, name }, { metadata: { resourceVersion, finalizers: rest } }, { signal });
    return done;
  };
}
