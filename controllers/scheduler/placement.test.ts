import { describe, expect, test } from 'vitest';
import { seededRandom } from '#lib/std/random.ts';
import { fc } from '#test/properties.ts';
import type { PlacementAsk } from './placement.ts';
import { fits } from './room.ts';
import { ask, cluster, one } from './testing/cluster.ts';

describe('choose', () => {
  test('takes the host with the fewest cores that suffice, and leaves the large hole', () => {
    const { placement, add } = cluster();
    add('large', 64.5, 65_536);
    add('small', 8.5, 65_536);
    expect(placement.choose(ask(8))).toBe('small');
    expect(placement.choose(ask(9))).toBe('large');
    expect(placement.choose(ask(65))).toBeUndefined();
  });

  test('of hosts with as many cores, the one that is left with the least memory', () => {
    const { placement, add } = cluster();
    add('roomy', 8.5, 65_536);
    add('tight', 8.5, 9000);
    expect(placement.choose(ask(4, 8000))).toBe('tight');
    expect(placement.choose(ask(4, 8600))).toBe('roomy');
  });

  test('sees at once what was occupied, offered, rescinded, cordoned', () => {
    const { ledger, placement, add } = cluster();
    add('h', 8.5, 65_536);
    ledger.occupy('vm-1', 'h', ask(6).room);
    expect(placement.choose(ask(4))).toBeUndefined();
    ledger.release('vm-1');
    expect(placement.choose(ask(4))).toBe('h');
    const [held] = ledger.offers();
    ledger.removeOffer(held!.id.value);
    expect(placement.choose(ask(4))).toBeUndefined();
    add('h', 8.5, 65_536, { readiness: 'Cordoned' });
    expect(placement.choose(ask(4))).toBeUndefined();
  });

  test('never gives more than a host has, whatever is asked for in whatever order', () => {
    const size = fc.record({ cores: fc.integer({ min: 1, max: 20 }), mem: fc.integer({ min: 64, max: 20_000 }) });
    fc.assert(
      fc.property(fc.array(size, { minLength: 1, maxLength: 8 }), fc.array(size, { maxLength: 30 }), (hosts, asks) => {
        const { ledger, placement, add } = cluster();
        hosts.forEach(({ cores, mem }, index) => {
          add(`h${index}`, cores + 0.5, mem + 512);
        });
        asks.forEach(({ cores, mem }, index) => {
          const room = ask(cores, mem);
          const host = placement.choose(room);
          // Completeness: "nowhere" is said only when it is so.
          if (host === undefined) expect(ledger.views().some(({ offered }) => fits(room.room, offered!))).toBe(false);
          else ledger.occupy(`vm-${index}`, host, room.room);
        });
        for (const { free } of ledger.views()) expect(Math.min(free.cpu, free.mem)).toBeGreaterThanOrEqual(0);
      }),
    );
  });
});

describe('explain', () => {
  test('counts what stands against each host', () => {
    const { ledger, placement, add } = cluster();
    for (const name of ['a', 'b', 'c']) add(name, 8.5, 65_536);
    for (const name of ['d', 'e']) add(name, 64, 65_536, { readiness: 'Cordoned' });
    expect(placement.explain(ask(16))).toEqual({
      reason: 'InsufficientCores',
      message: '5 hosts: 3 short of cores (largest free 8), 2 cordoned',
    });
    add('f', 64, 65_536, { readiness: 'Unproven' });
    ledger.occupy('vm-x', 'f', ask(1).room);
    expect(placement.explain(ask(16)).message).toContain('1 not inventoried');
  });

  test.each([
    ['nothing', {}, ask(1), 'NoMatchingHost', 'the cluster has no hosts'],
    [
      'a label',
      { h: [8.5, 65_536] },
      one({ hostSelector: { matchLabels: { gpu: 'yes' } } }),
      'NoMatchingHost',
      '1 host: 1 without the labels asked for',
    ],
    [
      'memory',
      { h: [8.5, 2048] },
      ask(1, 4096),
      'InsufficientMemory',
      '1 host: 1 short of memory (largest free 1443 MiB)',
    ],
  ] as const)('%s missing', (_, hosts, asked, reason, message) => {
    const { placement, add } = cluster();
    for (const [name, [cpus, mem]] of Object.entries(hosts) as [string, readonly [number, number]][])
      add(name, cpus, mem);
    expect(placement.explain(asked)).toEqual({ reason, message });
  });

  test('a host that has room by the books, and is not offered', () => {
    const { ledger, placement, add } = cluster();
    add('h', 8.5, 65_536);
    ledger.clearOffers();
    expect(placement.explain(ask(4))).toEqual({
      reason: 'NoOffers',
      message: '1 host: 1 with room that Mesos has not offered yet',
    });
  });
});

describe('taints', () => {
  const taint = (effect: 'NoSchedule' | 'PreferNoSchedule', value?: string) => ({
    taints: [{ key: 'gpu', effect, ...(value === undefined ? {} : { value }) }],
  });

  test('NoSchedule keeps away who does not tolerate it, and is told', () => {
    const { placement, add } = cluster();
    add('h', 8.5, 65_536, taint('NoSchedule', 'a100'));
    expect(placement.choose(one({}))).toBeUndefined();
    expect(placement.explain(one({})).message).toBe('1 host: 1 with a taint that it does not tolerate');
    const tolerating = (toleration: object) => placement.choose(one({ tolerations: [toleration] }));
    expect(tolerating({ key: 'gpu', value: 'a100' })).toBe('h');
    expect(tolerating({ operator: 'Exists' })).toBe('h');
    expect(tolerating({ key: 'gpu', value: 'h100' })).toBeUndefined();
    expect(tolerating({ key: 'gpu', operator: 'Exists', effect: 'PreferNoSchedule' })).toBeUndefined();
  });

  test('PreferNoSchedule comes last', () => {
    const { ledger, placement, add } = cluster();
    add('small', 1.5, 65_536, taint('PreferNoSchedule'));
    add('large', 1.5, 65_536);
    const first = placement.choose(one({}))!;
    expect(first).toBe('large');
    ledger.occupy('vm-1', first, one({}).room);
    expect(placement.choose(one({}))).toBe('small');
  });
});

describe('a host where many machines start', () => {
  test('takes one more when one of them is up', () => {
    const { ledger, placement, add } = cluster({ startingMax: 2 });
    add('h', 8.5, 65_536);
    for (const uid of ['vm-1', 'vm-2']) ledger.occupy(uid, 'h', ask(1).room, undefined, 'Starting');
    expect(placement.choose(ask(1))).toBeUndefined();
    expect(placement.explain(ask(1))).toEqual({
      reason: 'LaunchLimit',
      message: '1 host: 1 where as many machines start as may at once',
    });
    ledger.occupy('vm-1', 'h', ask(1).room, undefined, 'Started');
    expect(placement.choose(ask(1))).toBe('h');
  });
});

describe('a host whose executor was lost', () => {
  test('takes nothing new while machines may run there, and one machine when none can', () => {
    const { ledger, placement, add } = cluster();
    add('h', 8.5, 65_536, { readiness: 'Unproven' });
    expect(placement.choose(ask(1))).toBe('h');
    ledger.occupy('vm-1', 'h', ask(1).room);
    expect(placement.choose(ask(1))).toBeUndefined();
  });
});

/** Four hosts of 4 cores on racks a, a, b and none; places machines until one finds nothing: "a1 b1". */
function fill(asks: readonly PlacementAsk[]): string {
  const { ledger, placement, add } = cluster();
  for (const [name, rack] of Object.entries({ a1: 'a', a2: 'a', b1: 'b', x1: undefined }))
    add(name, 4.5, 8000, { labels: rack === undefined ? {} : { rack, slot: '1.50' } });
  const hosts: string[] = [];
  for (const [index, ask] of asks.entries()) {
    const host = placement.choose(ask);
    if (host === undefined) break;
    ledger.occupy(`vm-${index}`, host, ask.room, ask.member);
    hosts.push(host);
  }
  return hosts.join(' ');
}
const times = (count: number, ask: PlacementAsk) => Array.from({ length: count }, () => ask);
const constraint = (
  key: string,
  operator: 'UNIQUE' | 'CLUSTER' | 'GROUP_BY' | 'LIKE' | 'UNLIKE' | 'MAX_PER' | 'IS',
  value?: string,
) => one({ constraints: [{ key, operator, ...(value === undefined ? {} : { value }) }] });

describe('rules', () => {
  test.each<[string, PlacementAsk, string]>([
    ['UNIQUE on the host', constraint('hostname', 'UNIQUE'), 'a1 a2 b1 x1'],
    ['UNIQUE on a label: none is out', constraint('@rack', 'UNIQUE'), 'a1 b1'],
    ['MAX_PER', constraint('rack', 'MAX_PER', '2'), 'a1 a1 b1 b1'],
    ['CLUSTER without a value: where the first went', constraint('rack', 'CLUSTER'), 'a1 a1 a1 a1 a2 a2 a2 a2'],
    ['CLUSTER with a value', constraint('rack', 'CLUSTER', 'b'), 'b1 b1 b1 b1'],
    ['GROUP_BY', constraint('rack', 'GROUP_BY'), 'a1 b1 a1 b1 a1 b1 a1 b1 a2'],
    ['GROUP_BY with more values than there are', constraint('rack', 'GROUP_BY', '3'), 'a1 b1'],
    ['IS', constraint('rack', 'IS', 'b'), 'b1 b1 b1 b1'],
    ['IS compares numbers as numbers', constraint('slot', 'IS', '1.5'), 'a1 a1 a1 a1 a2 a2 a2 a2 b1 b1'],
    ['LIKE matches the whole', constraint('hostname', 'LIKE', 'b|x.'), 'x1 x1 x1 x1'],
    ['UNLIKE takes hosts without the label', constraint('rack', 'UNLIKE', '[ab]'), 'x1 x1 x1 x1'],
    ['LIKE that cannot be read', constraint('rack', 'LIKE', '('), ''],
    ['MAX_PER that cannot be read', constraint('rack', 'MAX_PER', 'many'), ''],
    [
      'Gt compares numbers',
      one({ hostSelector: { matchExpressions: [{ key: 'slot', operator: 'Gt', values: ['1.4'] }] } }),
      'a1 a1 a1 a1 a2 a2 a2 a2 b1 b1',
    ],
    [
      'Lt compares numbers',
      one({ hostSelector: { matchExpressions: [{ key: 'slot', operator: 'Lt', values: ['1.5'] }] } }),
      '',
    ],
    [
      'preferred hosts first, those that fulfil more before others',
      one({
        preferredHosts: [
          { weight: 1, matchLabels: { rack: 'b' } },
          { weight: 5, matchExpressions: [{ key: 'rack', operator: 'DoesNotExist' }] },
        ],
      }),
      'x1 x1 x1 x1 b1 b1 b1 b1 a1 a1',
    ],
    ['antiAffinity among its own', one({ antiAffinity: [{ key: 'rack' }] }), 'a1 b1 x1 x1 x1 x1'],
    [
      'spread that must hold',
      one({ spread: [{ key: 'host', maxSkew: 1, whenUnsatisfiable: 'DoNotSchedule' }] }),
      'a1 a2 b1 x1 a1 a2 b1 x1 a1 a2',
    ],
    [
      'spread that is wished for',
      one({ spread: [{ key: 'rack', maxSkew: 1, whenUnsatisfiable: 'ScheduleAnyway' }] }),
      'x1 a1 b1 x1 a1 b1 x1 a1 b1 x1',
    ],
    [
      'spread over hosts that is wished for goes on when it cannot be',
      one({
        hostSelector: { matchLabels: { rack: 'b' } },
        spread: [{ key: 'host', maxSkew: 1, whenUnsatisfiable: 'ScheduleAnyway' }],
      }),
      'b1 b1 b1 b1',
    ],
  ])('%s', (_, asked, expected) => {
    const placed = fill(times(10, asked)).split(' ');
    const wanted = expected.split(' ');
    // Which of hosts that are alike comes first is of no meaning.
    expect(placed.toSorted()).toEqual(wanted.toSorted());
  });

  test('antiAffinity with a selector holds for both: those who say so, and those of whom it is said', () => {
    const labels = { app: 'db' };
    const shy = one({ antiAffinity: [{ key: 'rack', selector: { matchLabels: labels } }] }, { group: 'shy' });
    const db = one({ hostSelector: { matchLabels: { rack: 'a' } } }, { group: 'db', labels });
    expect(fill([db, shy])).toMatch(/^a. (b1|x1)$/);
    const shyOnA = one(
      {
        ...{ hostSelector: { matchLabels: { rack: 'a' } } },
        antiAffinity: [{ key: 'rack', selector: { matchLabels: labels } }],
      },
      { group: 'shy' },
    );
    expect(fill([shyOnA, db])).toMatch(/^a.$/);
    expect(
      fill([shyOnA, one({ hostSelector: { matchLabels: { rack: 'a' } } }, { namespace: 'other', labels })]),
    ).toMatch(/^a. a.$/);
  });

  test('count anew when hosts get other labels, when machines go, and when their own labels change', () => {
    const { ledger, placement, add } = cluster();
    add('h1', 4.5, 8000, { labels: { rack: 'a' } });
    add('h2', 4.5, 8000, { labels: { rack: 'a' } });
    const asked = constraint('rack', 'UNIQUE');
    ledger.occupy('vm-1', 'h1', asked.room, asked.member);
    expect(placement.choose(asked)).toBeUndefined();
    expect(placement.explain(asked).message).toBe('2 hosts: 2 with as many machines as its rules allow');
    add('h2', 4.5, 8000, { labels: { rack: 'b' } });
    expect(placement.choose(asked)).toBe('h2');
    ledger.release('vm-1');
    expect(placement.choose({ ...asked, room: { cpu: 4000, mem: 64_000 } })).toBeDefined();
    ledger.occupy('vm-1', 'h1', asked.room, { ...asked.member!, group: 'another' });
    ledger.occupy('vm-2', 'h2', { cpu: 4000, mem: 64_000 });
    expect(placement.choose(asked)).toBe('h1');
  });

  test('a rule that cannot be read is told', () => {
    const { placement, add } = cluster();
    add('h', 8.5, 65_536);
    expect(placement.explain(constraint('rack', 'GROUP_BY', 'x'))).toEqual({
      reason: 'NoMatchingHost',
      message: 'spec.placement: GROUP_BY takes a whole number, not "x"',
    });
  });
});

test('packs within 5 % of the best there is, over random hosts and machines', () => {
  const random = seededRandom(3);
  const between = (low: number, high: number) => low + Math.floor(random.next() * (high - low + 1));
  let placed = 0;
  let best = 0;
  for (let instance = 0; instance < 100; instance++) {
    const { ledger, placement, add } = cluster();
    const hosts = Array.from({ length: between(5, 40) }, () => between(8, 64));
    for (const [index, cores] of hosts.entries()) add(`h${index}`, cores + 0.5, cores * 4096 + 512);
    const capacity = hosts.reduce((a, b) => a + b, 0);
    // As much as the hosts have, in the order in which it comes. No order and no choice could place more than that.
    for (let asked = 0, index = 0; ; index++) {
      const cores = Math.min(between(1, 16), capacity - asked);
      if (cores === 0) break;
      asked += cores;
      const host = placement.choose(ask(cores, cores * 2048));
      if (host === undefined) continue;
      ledger.occupy(`vm-${index}`, host, ask(cores, cores * 2048).room);
      placed += cores;
    }
    best += capacity;
  }
  expect(placed / best).toBeGreaterThan(0.95);
});

test('thousands of machines are placed on thousands of hosts without looking at each host for each machine', () => {
  const { ledger, placement, add } = cluster();
  for (let index = 0; index < 4000; index++) add(`h${index}`, 32.5, 131_072);
  const startedMs = performance.now();
  for (let index = 0; index < 8000; index++) {
    const host = placement.choose(ask(1 + (index % 8), 2048));
    ledger.occupy(`vm-${index}`, host!, ask(1 + (index % 8), 2048).room);
  }
  // 32 million looks at a host would take many times as long, even on a busy machine.
  expect(performance.now() - startedMs).toBeLessThan(4000);
});
