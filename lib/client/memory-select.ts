/** Label and field selectors in the syntax of Kubernetes' query parameters, as functions of an object. */
import type { KubeObject } from '#lib/api/meta.ts';
import { matchesRequirement, type Requirement } from '#lib/api/selectors.ts';
import { ApiError } from '#lib/std/errors.ts';

export type Selects = (object: KubeObject) => boolean;

function parseTerm(term: string): Requirement {
  const set = /^([^\s!=]+)\s+(in|notin)\s+\(([^)]*)\)$/.exec(term);
  if (set) {
    const values = set[3]!.split(',').map((value) => value.trim());
    return { key: set[1]!, operator: set[2] === 'in' ? 'In' : 'NotIn', values };
  }
  const comparison = /^([^\s!=]+)\s*(==|=|!=)\s*([^\s=]*)$/.exec(term);
  if (comparison)
    return { key: comparison[1]!, operator: comparison[2] === '!=' ? 'NotIn' : 'In', values: [comparison[3]!] };
  const existence = /^(!?)\s*([^\s!=,()]+)$/.exec(term);
  if (existence) return { key: existence[2]!, operator: existence[1] ? 'DoesNotExist' : 'Exists' };
  throw new ApiError('BadRequest', `unable to parse requirement: ${term}`);
}

/** Commas inside parentheses separate values, all others separate terms. */
function terms(selector: string): string[] {
  return (selector.match(/(?:\([^)]*\)|[^,(])+/g) ?? []).map((term) => term.trim()).filter((term) => term !== '');
}

export function labelSelector(selector: string): Selects {
  const requirements = terms(selector).map(parseTerm);
  return ({ metadata }) => requirements.every((requirement) => matchesRequirement(requirement, metadata.labels ?? {}));
}

/** metadata.name and metadata.namespace for every kind; for Events also what they are about, for other kinds what their definition names. */
export function fieldSelector(selector: string, selectable: readonly string[] = []): Selects {
  const requirements = terms(selector).map(parseTerm);
  for (const { key } of requirements)
    if (!/^(metadata\.(name|namespace)|involvedObject\.\w+|reason|type)$/.test(key) && !selectable.includes(key))
      throw new ApiError('BadRequest', `field label not supported: ${key}`);
  return (object) =>
    requirements.every((requirement) =>
      matchesRequirement(requirement, { [requirement.key]: valueAt(object, requirement.key) }),
    );
}

function valueAt(object: KubeObject, path: string): string {
  const value = path
    .split('.')
    .reduce<unknown>((inner, name) => (inner as Record<string, unknown> | undefined)?.[name], object);
  return typeof value === 'string' ? value : '';
}
