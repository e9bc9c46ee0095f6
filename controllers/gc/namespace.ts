/**
 * Empties a namespace that is being deleted, then lets it go. The server refuses new content from the moment deletionTimestamp is
 * set, so a list that comes back empty stays true. Content is listed live: absence in a cache proves nothing.
 */
import { Namespace } from '#lib/api/core.ts';
import type { Kind } from '#lib/api/meta.ts';
import { isCode } from '#lib/std/errors.ts';
import { type Controller, done, type Phase, type Run, type Trigger, wait } from '../runtime/controller.ts';
import type { Deps } from '../runtime/deps.ts';
import { collectedKinds, emptyingOrder } from './kinds.ts';

/** Besides the triggers: kinds that are not watched are looked at again after this. */
const lookAgainMs = 2_000;
const finalizer = 'kubernetes';

export function namespaceController(deps: Deps): Controller<Namespace, Namespace> {
  const namespaces = deps.cache(Namespace);
  const content: Trigger['map'] = ({ metadata: { namespace = '' } }) =>
    namespaces.get(namespace)?.metadata.deletionTimestamp === undefined ? [] : [namespace];
  const watched = emptyingOrder.flat().filter((kind) => collectedKinds.includes(kind));
  return {
    name: 'namespace',
    for: Namespace,
    reads: emptyingOrder.flat(),
    writes: [Namespace, ...emptyingOrder.flat()],
    triggers: watched.map((kind) => ({ kind, map: content })),
    load: (namespace) => namespace,
    phases: [],
    finalize: [...emptyingOrder.map((kinds) => empty(deps, kinds)), release(deps)],
    summarize: () => undefined,
  };
}

const empty =
  (deps: Deps, kinds: readonly Kind[]): Phase<Namespace> =>
  async ({ metadata }, run) => {
    const left: string[] = [];
    for (const kind of kinds) {
      const count = await deleteAll(deps, kind, metadata.name, run);
      if (count > 0) left.push(`${count} ${kind.plural}`);
    }
    if (left.length === 0) return done;
    return wait('ContentRemains', `Namespace ${metadata.name} still has ${left.join(', ')}`, lookAgainMs);
  };

/** Gives how many are left: those that a finalizer or a refusal keeps. */
async function deleteAll({ client }: Deps, kind: Kind, namespace: string, { signal, log }: Run): Promise<number> {
  const { items } = await client.list(kind, { namespace, signal });
  const living = items.filter(({ metadata }) => metadata.deletionTimestamp === undefined);
  for (const { metadata } of living) {
    try {
      await client.delete(kind, metadata, { uid: metadata.uid, signal });
    } catch (error) {
      if (!isCode(error, 'NotFound', 'Conflict', 'Forbidden')) throw error;
      log.debug('Not deleted now', { kind: kind.kind, name: metadata.name, error: error.message });
    }
  }
  return living.length === 0 ? items.length : (await client.list(kind, { namespace, signal })).items.length;
}

const release =
  ({ client }: Deps): Phase<Namespace> =>
  async (namespace, { signal, log }) => {
    const finalizers = (namespace.spec?.finalizers ?? []).filter((name) => name !== finalizer);
    if (finalizers.length === (namespace.spec?.finalizers ?? []).length) return done;
    try {
      await client.finalize({ ...namespace, spec: { finalizers } }, { signal });
    } catch (error) {
      if (!isCode(error, 'NotFound')) throw error;
    }
    log.info('Namespace is empty and released');
    return done;
  };
