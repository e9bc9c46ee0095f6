import { expect, test } from 'vitest';
import { hostValue, readRules } from '#lib/api/placement-rules.ts';
import { matchesSelector } from '#lib/api/selectors.ts';
import { fc } from '#test/properties.ts';
import { Ledger, type LedgerHost } from './ledger.ts';
import { Placement } from './placement.ts';
import type { Member } from './tallies.ts';

type Spec = NonNullable<Parameters<typeof readRules>[0]>;

const key = fc.constantFrom('host', 'rack', 'zone');
const app = fc.constantFrom('db', 'web');
const rule: fc.Arbitrary<Spec> = fc.oneof(
  fc
    .record({ key, operator: fc.constantFrom('UNIQUE' as const, 'CLUSTER' as const, 'GROUP_BY' as const) })
    .map((one) => ({ constraints: [one] })),
  key.map((one) => ({ constraints: [{ key: one, operator: 'MAX_PER' as const, value: '2' }] })),
  fc
    .record({ key, app })
    .map((one) => ({ antiAffinity: [{ key: one.key, selector: { matchLabels: { app: one.app } } }] })),
  fc
    .record({ key, maxSkew: fc.integer({ min: 1, max: 2 }) })
    .map((one) => ({ spread: [{ ...one, whenUnsatisfiable: 'DoNotSchedule' as const }] })),
  fc.constant({}),
);
const host = fc.record({
  rack: fc.option(fc.constantFrom('r1', 'r2', 'r3')),
  zone: fc.option(fc.constantFrom('z1', 'z2')),
});
const step = fc.record({
  group: fc.nat(3),
  app,
  cores: fc.integer({ min: 1, max: 3 }),
  /** Now and then a machine goes. */
  leaves: fc.option(fc.nat(20)),
});

interface Seated {
  readonly member: Member;
  readonly spec: Spec;
  readonly host: LedgerHost;
  readonly cores: number;
}

/** The same rules once more, written down as one would say them, over all machines. */
function mayGo(
  member: Member,
  spec: Spec,
  to: LedgerHost,
  seated: readonly Seated[],
  hosts: readonly LedgerHost[],
): boolean {
  const own = seated.filter((one) => one.member.group === member.group);
  const on = (list: readonly Seated[], key: string, value: string | undefined) =>
    value === undefined ? [] : list.filter((one) => hostValue(one.host, key) === value);
  const even = (key: string, maxSkew: number) => {
    const value = hostValue(to, key);
    const values = new Set(hosts.filter(readRules(spec).allows).flatMap((one) => hostValue(one, key) ?? []));
    const fewest = Math.min(...[...values].map((one) => on(own, key, one).length));
    return value !== undefined && on(own, key, value).length + 1 - fewest <= maxSkew;
  };
  const allowedByOwn = (spec.constraints ?? []).every(({ key, operator }) => {
    const value = hostValue(to, key);
    if (value === undefined) return false;
    if (operator === 'GROUP_BY') return even(key, 1);
    if (operator === 'CLUSTER')
      return own.every((one) => hostValue(one.host, key) === undefined) || on(own, key, value).length > 0;
    return on(own, key, value).length < (operator === 'UNIQUE' ? 1 : 2);
  });
  const mine = (spec.antiAffinity ?? []).every(
    ({ key, selector }) =>
      on(
        seated.filter((one) => matchesSelector(selector, one.member.labels)),
        key,
        hostValue(to, key),
      ).length === 0,
  );
  const theirs = seated.every((one) =>
    (one.spec.antiAffinity ?? []).every(
      ({ key, selector }) =>
        !matchesSelector(selector, member.labels) ||
        hostValue(to, key) === undefined ||
        hostValue(one.host, key) !== hostValue(to, key),
    ),
  );
  return allowedByOwn && mine && theirs && (spec.spread ?? []).every(({ key, maxSkew }) => even(key, maxSkew));
}

test('no rule is ever broken, and none is said to stand in the way that does not', () => {
  fc.assert(
    fc.property(
      fc.array(host, { minLength: 1, maxLength: 8 }),
      fc.array(rule, { minLength: 4, maxLength: 4 }),
      fc.array(step, { maxLength: 25 }),
      (labels, specs, steps) => {
        const share = { cpu: 0, mem: 0 };
        const ledger: Ledger = new Ledger({ share, id: 'ex' }, (name) => placement.hostChanged(name));
        const placement: Placement = new Placement(ledger);
        const hosts = labels.map(({ rack, zone }, index): LedgerHost => {
          const own = { ...(rack === null ? {} : { rack }), ...(zone === null ? {} : { zone }) };
          const bare = { hostname: `h${index}`, agentId: `S${index}`, labels: own, readiness: 'Ready' as const };
          return { ...bare, total: { cpu: 6000, mem: 6_000_000 }, foreign: { cpu: 0, mem: 0 } };
        });
        for (const one of hosts) {
          ledger.setHost(one);
          const resources = [
            { name: 'cpus', type: 'SCALAR' as const, scalar: { value: 6 } },
            { name: 'mem', type: 'SCALAR' as const, scalar: { value: 6000 } },
          ];
          const ids = { id: { value: one.hostname }, framework_id: { value: 'f' }, agent_id: { value: one.agentId } };
          ledger.addOffer({ ...ids, hostname: one.hostname, resources });
        }
        const seats = new Map<string, Seated>();
        for (const [index, { group, app, cores, leaves }] of steps.entries()) {
          if (leaves !== null && seats.delete(`vm-${leaves}`)) ledger.release(`vm-${leaves}`);
          const spec = specs[group]!;
          const member = { namespace: 'n', group: `g${group}`, labels: { app }, rules: readRules(spec) };
          const room = { cpu: cores * 1000, mem: cores * 1_000_000 };
          const seated = [...seats.values()];
          const free = (one: LedgerHost) =>
            6 - seated.filter((seat) => seat.host === one).reduce((sum, seat) => sum + seat.cores, 0);
          const possible = hosts
            .filter((one) => free(one) >= cores && mayGo(member, spec, one, seated, hosts))
            .map(({ hostname }) => hostname);
          const chosen = placement.choose({ room, member });
          if (chosen === undefined) {
            expect(possible).toEqual([]);
            continue;
          }
          expect(possible).toContain(chosen);
          ledger.occupy(`vm-${index}`, chosen, room, member);
          seats.set(`vm-${index}`, { member, spec, cores, host: hosts.find(({ hostname }) => hostname === chosen)! });
        }
      },
    ),
    { numRuns: 300 },
  );
});
