/** Selectors of hosts: Kubernetes' label selectors, and Gt and Lt for labels that are numbers, as Mesos' scalar attributes are. */
import { matchesRequirement, type Requirement } from './selectors.ts';

export interface HostRequirement {
  readonly key: string;
  readonly operator: Requirement['operator'] | 'Gt' | 'Lt';
  readonly values?: readonly string[];
}

export interface HostSelector {
  readonly matchLabels?: Readonly<Record<string, string>>;
  readonly matchExpressions?: readonly HostRequirement[];
}

type Labels = Readonly<Record<string, string>>;

export const isNumber = (text: string) => /^-?\d+(\.\d+)?$/.test(text);

/** A host whose label is missing, or no number, is neither above nor below. */
function matchesOne({ key, operator, values = [] }: HostRequirement, labels: Labels): boolean {
  if (operator !== 'Gt' && operator !== 'Lt') return matchesRequirement({ key, operator, values }, labels);
  const [bound = ''] = values;
  const value = Object.hasOwn(labels, key) ? labels[key]! : '';
  if (!isNumber(value) || !isNumber(bound)) return false;
  return operator === 'Gt' ? Number(value) > Number(bound) : Number(value) < Number(bound);
}

export function matchesHost(selector: HostSelector | undefined, labels: Labels): boolean {
  const exact = Object.entries(selector?.matchLabels ?? {});
  return (
    exact.every(([key, value]) => Object.hasOwn(labels, key) && labels[key] === value) &&
    (selector?.matchExpressions ?? []).every((requirement) => matchesOne(requirement, labels))
  );
}

/** What of it no host could ever match because it cannot be read. */
export function selectorProblems(selector: HostSelector | undefined): readonly string[] {
  return (selector?.matchExpressions ?? []).flatMap(({ operator, values = [] }) =>
    (operator === 'Gt' || operator === 'Lt') && !(values.length === 1 && isNumber(values[0]!))
      ? [`${operator} takes one number, not "${values.join(', ')}"`]
      : [],
  );
}
