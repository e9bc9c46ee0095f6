/**
 * Where a machine may run, read from its spec: hostSelector, constraints (Marathon's seven operators), antiAffinity and spread, made into
 * two things: what a host alone decides (also its taints, and how much it is wished for), and rules that count the machines that are placed
 * already. Pure.
 *
 * A key names a host label; `host` and `hostname` name the host itself, and Marathon's `@zone` is the label zone. A host without the label
 * is out, save for UNLIKE and antiAffinity, and for a spread that is only wished for. Changed rules move no machine that has a place.
 */

import { messageOf } from '#lib/std/errors.ts';
import { compilePattern } from '#lib/std/pattern.ts';
import type { VirtualMachine } from './generated/virtualmachine.ts';
import { isNumber, matchesHost, selectorProblems } from './host-selectors.ts';
import type { LabelSelector } from './selectors.ts';
import { type Taint, untolerated } from './taints.ts';

export type PlacementSpec = NonNullable<VirtualMachine['spec']['placement']>;
type Constraint = NonNullable<PlacementSpec['constraints']>[number];

export interface HostFacts {
  readonly hostname: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly taints?: readonly Taint[];
}

/** Whose machines a rule counts, of those in the same namespace. */
export type Whom =
  /** Machines of the same factory, else of the same pool. */
  | { readonly type: 'Group' }
  | { readonly type: 'Matching'; readonly selector: LabelSelector }
  /** Those whose own antiAffinity has this selector and key: it keeps others away as much as it keeps away from them. */
  | { readonly type: 'Averse'; readonly selector: LabelSelector };

export type CountedRule =
  /** A value takes a machine while fewer than `below` are there. */
  | { readonly type: 'Limit'; readonly key: string; readonly whom: Whom; readonly below: number }
  /** All where the first went. */
  | { readonly type: 'Together'; readonly key: string }
  /**
   * No value may be more than `maxSkew` ahead of the value with the fewest. `expected` values count as there before they are seen. Not
   * hard: values with fewer come first, and none is out.
   */
  | {
      readonly type: 'Even';
      readonly key: string;
      readonly maxSkew: number;
      readonly expected: number;
      readonly isHard: boolean;
    };

export interface Aversion {
  readonly key: string;
  readonly selector: LabelSelector;
}

export interface Rules {
  /** The same text, the same rules. */
  readonly text: string;
  /** What the host alone decides. */
  readonly allows: (host: HostFacts) => boolean;
  /** A part of that: no taint of the host keeps it away. */
  readonly tolerates: (host: HostFacts) => boolean;
  /** How much the host is wished for: hosts with more come first. */
  readonly score: (host: HostFacts) => number;
  readonly counted: readonly CountedRule[];
  /** Of its antiAffinity what names other machines: they are kept away from it, too. */
  readonly averse: readonly Aversion[];
  /** Rules that cannot be read: no host is allowed. Empty: there are none. */
  readonly problems: readonly string[];
}

export const isHostKey = (key: string) => ['host', 'hostname'].includes(plainKey(key));

const plainKey = (key: string) => (key.startsWith('@') ? key.slice(1) : key);

export function hostValue({ hostname, labels }: HostFacts, key: string): string | undefined {
  if (isHostKey(key)) return hostname;
  const name = plainKey(key);
  return Object.hasOwn(labels, name) ? labels[name] : undefined;
}

type Test = (host: HostFacts) => boolean;

/** What a constraint says of a host alone, and by counting; a text: it cannot be read. */
type Reading = { readonly test?: Test; readonly counted?: CountedRule } | string;

const group: Whom = { type: 'Group' };

const readers: Readonly<Record<Constraint['operator'], (key: string, value: string) => Reading>> = {
  UNIQUE: (key) => limit(key, 1),
  MAX_PER: (key, value) =>
    isCount(value) ? limit(key, Number(value)) : `MAX_PER takes a whole number, not "${value}"`,
  CLUSTER: (key, value) =>
    value === '' ? { test: has(key), counted: { type: 'Together', key } } : { test: is(key, value) },
  GROUP_BY: (key, value) =>
    value === '' || isCount(value)
      ? { test: has(key), counted: { type: 'Even', key, maxSkew: 1, expected: Number(value), isHard: true } }
      : `GROUP_BY takes a whole number, not "${value}"`,
  IS: (key, value) => ({ test: is(key, value) }),
  LIKE: (key, value) => like(value, (matches) => (host) => matches(hostValue(host, key)) === true),
  UNLIKE: (key, value) => like(value, (matches) => (host) => matches(hostValue(host, key)) !== true),
};

const isCount = (text: string) => /^[1-9]\d{0,5}$/.test(text);
const has =
  (key: string): Test =>
  (host) =>
    hostValue(host, key) !== undefined;

function limit(key: string, below: number): Reading {
  return { test: has(key), counted: { type: 'Limit', key, whom: group, below } };
}

/** Numbers are the same to the nearest thousandth, as Mesos compares scalars; everything else as text. */
function is(key: string, wanted: string): Test {
  return (host) => {
    const value = hostValue(host, key);
    return (
      value !== undefined && (value === wanted || (isNumber(value) && isNumber(wanted) && sameScalar(value, wanted)))
    );
  };
}

const sameScalar = (a: string, b: string) => Math.round(Number(a) * 1000) === Math.round(Number(b) * 1000);

/** The whole value has to match; undefined: there is none. */
function like(source: string, test: (matches: (value: string | undefined) => boolean | undefined) => Test): Reading {
  try {
    const pattern = compilePattern(`^(?:${source})$`);
    return { test: test((value) => value !== undefined && pattern.test(value)) };
  } catch (error) {
    return `"${source}" is no regular expression of RE2: ${messageOf(error)}`;
  }
}

/** Of a taint that says PreferNoSchedule: as much as the largest wish. */
const taintWeight = 100;

export function readRules(placement: PlacementSpec | undefined): Rules {
  const {
    hostSelector,
    preferredHosts = [],
    tolerations = [],
    constraints = [],
    antiAffinity = [],
    spread = [],
  } = placement ?? {};
  const readings = constraints.map(({ key, operator, value = '' }) => readers[operator](key, value));
  const problems = [
    ...[hostSelector, ...preferredHosts].flatMap(selectorProblems),
    ...readings.filter((reading) => typeof reading === 'string'),
  ];
  const read = readings.filter((reading) => typeof reading !== 'string');
  const needed = spread.filter(({ whenUnsatisfiable }) => whenUnsatisfiable === 'DoNotSchedule');
  const against = ({ taints = [] }: HostFacts, effect: Taint['effect']) =>
    untolerated(taints, tolerations).filter((taint) => taint.effect === effect).length;
  const tolerates: Test = (host) => against(host, 'NoSchedule') === 0;
  const tests: readonly Test[] = [
    tolerates,
    ({ labels }) => matchesHost(hostSelector, labels),
    ...read.flatMap(({ test }) => test ?? []),
    ...needed.map(({ key }) => has(key)),
  ];
  return {
    text: JSON.stringify([hostSelector ?? {}, preferredHosts, tolerations, constraints, antiAffinity, spread]),
    allows: (host) => problems.length === 0 && tests.every((test) => test(host)),
    tolerates,
    score: (host) =>
      preferredHosts.reduce((sum, wish) => sum + (matchesHost(wish, host.labels) ? wish.weight : 0), 0) -
      taintWeight * against(host, 'PreferNoSchedule'),
    counted: [
      ...read.flatMap(({ counted }) => counted ?? []),
      ...antiAffinity.map(
        ({ key, selector }): CountedRule => ({
          ...{ type: 'Limit', key, below: 1 },
          whom: selector ? { type: 'Matching', selector } : group,
        }),
      ),
      ...spread.map(
        ({ key, maxSkew, whenUnsatisfiable }): CountedRule => ({
          ...{ type: 'Even', key, maxSkew, expected: 0 },
          isHard: whenUnsatisfiable === 'DoNotSchedule',
        }),
      ),
    ],
    averse: antiAffinity.flatMap(({ key, selector }) => (selector ? [{ key, selector }] : [])),
    problems,
  };
}
