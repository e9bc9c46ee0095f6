/**
 * Empties a namespace that is being deleted, then lets it go: everything in it of every kind that discovery lists. Content is listed
 * live: absence in a cache proves nothing. What the namespace still waits for stands in its conditions, as in Kubernetes.
 */
import { Namespace } from '#lib/api/core.ts';
import { factoryKinds } from '#lib/api/generated/index.ts';
import type { Kind } from '#lib/api/meta.ts';
import { isCode, messageOf } from '#lib/std/errors.ts';
import { type Controller, done, type Phase, type Run, type Trigger, wait } from '../runtime/controller.ts';
import type { Deps } from '../runtime/deps.ts';
import { emptyingOrder } from './kinds.ts';
import { conditionsOf, isEmpty, newSurvey, type Survey } from './namespace-conditions.ts';

/** Besides the triggers: other kinds are looked at again after this. */
const lookAgainMs = 2_000;
/**
 * Servers believe their caches that a namespace is not being deleted, so one of them may let something in until the news has reached it.
 * What is listed this long after the deletion is the last word; as in Kubernetes.
 */
const settleMs = 5_000;
const finalizer = 'kubernetes';

interface Scope {
  readonly namespace: Namespace;
  /** What the phases found. */
  readonly survey: Survey;
}

export function namespaceController(deps: Deps): Controller<Namespace, Scope> {
  const namespaces = deps.cache(Namespace);
  const content: Trigger['map'] = ({ metadata: { namespace = '' } }) =>
    namespaces.get(namespace)?.metadata.deletionTimestamp === undefined ? [] : [namespace];
  return {
    name: 'namespace',
    for: Namespace,
    reads: 'every kind',
    writes: 'every kind',
    triggers: factoryKinds.filter((kind) => kind.namespaced).map((kind) => ({ kind, map: content })),
    load: (namespace) => ({ namespace, survey: newSurvey() }),
    phases: [],
    finalize: [empty(deps), settle, release(deps)],
    summarize: ({ namespace, survey }) =>
      namespace.metadata.deletionTimestamp === undefined
        ? undefined
        : { ...namespace.status, phase: 'Terminating', conditions: conditionsOf(namespace, survey) },
  };
}

const empty =
  (deps: Deps): Phase<Scope> =>
  async ({ namespace: { metadata }, survey }, run) => {
    const { kinds, failed } = await deps.client.discover({ signal: run.signal });
    survey.undiscovered.push(...failed);
    for (const step of emptyingOrder(kinds)) {
      for (const kind of step) await emptyOf(deps, kind, metadata.name, survey, run);
      if (survey.errors.length > 0) throw survey.errors[0];
      if (!isEmpty(survey)) return wait('ContentRemains', `Namespace ${metadata.name} is not empty`, lookAgainMs);
    }
    return done;
  };

async function emptyOf(deps: Deps, kind: Kind, namespace: string, survey: Survey, run: Run): Promise<void> {
  try {
    await deleteAll(deps, kind, namespace, survey, run);
  } catch (error) {
    run.signal.throwIfAborted();
    // Kinds go away with their definitions; then there is nothing of them either.
    if (isCode(error, 'NotFound')) return;
    survey.failures.push(`${kind.plural}: ${messageOf(error)}`);
    survey.errors.push(error);
  }
}

/** Notes what is left: what a finalizer or a refusal keeps. */
async function deleteAll(
  { client }: Deps,
  kind: Kind,
  namespace: string,
  survey: Survey,
  { signal }: Run,
): Promise<void> {
  const { items } = await client.list(kind, { namespace, signal });
  const living = items.filter(({ metadata }) => metadata.deletionTimestamp === undefined);
  for (const { metadata } of living) {
    try {
      await client.delete(kind, metadata, { uid: metadata.uid, signal });
    } catch (error) {
      if (!isCode(error, 'NotFound', 'Conflict', 'Forbidden')) throw error;
      if (error.code === 'Forbidden') survey.failures.push(error.message);
    }
  }
  const left = living.length === 0 ? items : (await client.list(kind, { namespace, signal })).items;
  if (left.length > 0) survey.remaining.push({ kind, objects: left });
}

const settle: Phase<Scope> = ({ namespace: { metadata } }, { nowMs }) => {
  const leftMs = Date.parse(metadata.deletionTimestamp!) + settleMs - nowMs;
  return leftMs > 0 ? wait('Settling', `Namespace ${metadata.name} is looked at once more`, leftMs) : done;
};

const release =
  ({ client }: Deps): Phase<Scope> =>
  async ({ namespace }, { signal, log }) => {
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
