/** Why a namespace that is being deleted is still there: the types and reasons of Kubernetes' namespace controller. Pure. */
import type { Namespace } from '#lib/api/core.ts';
import type { Condition, Kind, KubeObject } from '#lib/api/meta.ts';

/** Filled while the namespace is looked through. */
export interface Survey {
  /** Group versions that did not say what they serve. */
  readonly undiscovered: string[];
  /** What could not be listed or deleted, and why. */
  readonly failures: string[];
  /** Those of them that nobody foresaw. */
  readonly errors: unknown[];
  readonly remaining: { readonly kind: Kind; readonly objects: readonly KubeObject[] }[];
}

export function newSurvey(): Survey {
  return { undiscovered: [], failures: [], errors: [], remaining: [] };
}

export function isEmpty({ undiscovered, failures, remaining }: Survey): boolean {
  return undiscovered.length + failures.length + remaining.length === 0;
}

/** A long list helps nobody. */
const shown = 5;

export function conditionsOf(namespace: Namespace, survey: Survey): readonly Condition[] {
  const { undiscovered, failures, remaining } = survey;
  const counts = remaining.map(({ kind, objects }) => `${objects.length} ${nameOf(kind)}`);
  const finalizers = finalizersOf(survey);
  const own = [
    condition('NamespaceDeletionDiscoveryFailure', undiscovered, ['DiscoveryFailed', 'ResourcesDiscovered'], {
      bad: `Not known what is served under ${few(undiscovered)}; asked again until it is`,
      good: 'Every kind could be discovered',
    }),
    condition('NamespaceDeletionGroupVersionParsingFailure', [], ['GroupVersionParsingFailed', 'ParsedGroupVersions'], {
      bad: '',
      good: 'Every kind could be understood',
    }),
    condition('NamespaceDeletionContentFailure', failures, ['ContentDeletionFailed', 'ContentDeleted'], {
      bad: `Not everything could be deleted, tried again: ${few(failures)}`,
      good: 'Everything was deleted; finalizers may hold it',
    }),
    condition('NamespaceContentRemaining', counts, ['SomeResourcesRemain', 'ContentRemoved'], {
      bad: `Still there: ${few(counts)}`,
      good: 'Nothing is left',
    }),
    condition('NamespaceFinalizersRemaining', finalizers, ['SomeFinalizersRemain', 'ContentHasNoFinalizers'], {
      bad: `Held by finalizers: ${few(finalizers)}`,
      good: 'No finalizer holds anything',
    }),
  ];
  const others = (namespace.status?.conditions ?? []).filter(({ type }) => !own.some((each) => each.type === type));
  return [...others, ...own];
}

/** True is trouble. lastTransitionTime is set by the runtime. */
function condition(
  type: string,
  trouble: readonly string[],
  [badReason, goodReason]: readonly [string, string],
  messages: { readonly bad: string; readonly good: string },
): Condition {
  return trouble.length > 0
    ? { type, status: 'True', reason: badReason, message: messages.bad, lastTransitionTime: '' }
    : { type, status: 'False', reason: goodReason, message: messages.good, lastTransitionTime: '' };
}

function nameOf({ plural, group }: Kind): string {
  return group === '' ? plural : `${plural}.${group}`;
}

function finalizersOf({ remaining }: Survey): string[] {
  const counts = new Map<string, number>();
  for (const { objects } of remaining)
    for (const { metadata } of objects)
      for (const name of metadata.finalizers ?? []) counts.set(name, (counts.get(name) ?? 0) + 1);
  return [...counts].map(([name, count]) => `${name} (${count} objects)`);
}

function few(texts: readonly string[]): string {
  const more = texts.length > shown ? ` and ${texts.length - shown} more` : '';
  return `${texts.slice(0, shown).join(', ')}${more}`;
}
