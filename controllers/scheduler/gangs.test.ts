import { describe, expect, test } from 'vitest';
import { gangsOf, missingFrom, startedInPart } from './gangs.ts';
import { machine } from './testing/machines.ts';

const start = Date.parse('2026-01-01T12:00:00Z');
const gang = (machines: number, name = 'g') => ({ name, machines, timeout: '10m' });
const live = (name: string, launch: string, machines: number, minutes = 0) =>
  machine(name, {
    gang: gang(machines),
    status: {
      phase: 'Running',
      attempt: {
        number: 1,
        cluster: 'lab',
        since: new Date(start + minutes * 60_000).toISOString(),
        gang: { launch, machines },
      },
    },
  });
const one = (...args: Parameters<typeof gangsOf>) => [...gangsOf(...args).values()][0]!;

describe('gangsOf()', () => {
  test('tells gangs of other names and namespaces apart, and asks for live machines only if one waits', () => {
    const waiting = [
      machine('a', { gang: gang(2) }),
      machine('b', { gang: gang(2, 'h') }),
      machine('c', { gang: gang(2), namespace: 'm' }),
      machine('d'),
    ];
    expect([...gangsOf(waiting, () => []).keys()]).toEqual(['n/g', 'n/h', 'm/g']);
    expect(gangsOf([machine('d')], () => expect.fail('nobody asked')).size).toBe(0);
  });

  test('a gang is there when as many wait or run as the largest number that one of it says', () => {
    const waiting = [machine('a', { gang: gang(2) }), machine('b', { gang: gang(4) })];
    expect(missingFrom(one(waiting, () => []))).toBe(
      '2 of the 4 machines of gang g could be placed now; none is before all can be',
    );
    expect(missingFrom(one(waiting, () => [live('c', 'l', 2), live('d', 'l', 2)]))).toBeUndefined();
  });
});

describe('startedInPart()', () => {
  const late = start + 11 * 60_000;
  const rest = (more: object = {}) => machine('c', { gang: gang(3), ...more });
  const parts = [live('a', 'l1', 3), live('b', 'l1', 3)];

  test('names those of a launch that never was whole, when its time is over', () => {
    const some = one([rest()], () => parts);
    expect(startedInPart(some, start + 9 * 60_000)).toEqual([]);
    expect(startedInPart(some, late)).toEqual(parts);
  });

  test('not when the missing one was up once: it was whole then', () => {
    const wasUp = rest({ status: { phaseTransitions: { Running: new Date(start).toISOString() } } });
    expect(
      startedInPart(
        one([wasUp], () => parts),
        late,
      ),
    ).toEqual([]);
  });

  test('not for want of machines that were made later', () => {
    const grown = rest();
    const young = { ...grown, metadata: { ...grown.metadata, creationTimestamp: new Date(late).toISOString() } };
    expect(
      startedInPart(
        one([young], () => parts),
        late,
      ),
    ).toEqual([]);
  });

  test('not a launch that is whole, beside another that is not', () => {
    const whole = [live('x', 'l0', 2, -60), live('y', 'l0', 2, -60)];
    expect(
      startedInPart(
        one([rest()], () => [...whole, ...parts]),
        late,
      ),
    ).toEqual(parts);
  });
});
