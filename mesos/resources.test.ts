import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { OperatorAgent } from './operator-types.ts';
import { reservationsOf, roleOf, sumMilli, takeScalar } from './resources.ts';
import type { Resource } from './types.ts';

const cpus = (value: number, more: Partial<Resource> = {}): Resource => ({
  name: 'cpus',
  type: 'SCALAR',
  scalar: { value },
  ...more,
});

describe('reservationsOf', () => {
  const dynamic = { type: 'DYNAMIC', role: 'vm', principal: 'p' } as const;
  test.each([
    ['unreserved', cpus(1), []],
    ['unreserved, endpoint format', cpus(1, { role: '*' }), []],
    ['static, before refinement', cpus(1, { role: 'vm' }), [{ type: 'STATIC', role: 'vm' }]],
    ['dynamic, before refinement', cpus(1, { role: 'vm', reservation: { principal: 'p' } }), [dynamic]],
    ['after refinement', cpus(1, { reservations: [dynamic] }), [dynamic]],
    ['endpoint format', cpus(1, { role: 'vm', reservation: { principal: 'p' }, reservations: [dynamic] }), [dynamic]],
  ])('%s', (_, resource, expected) => {
    expect(reservationsOf(resource)).toEqual(expected);
  });

  test('the last of a stack says who may use it', () => {
    const stack = [
      { ...dynamic, role: 'vm' },
      { ...dynamic, role: 'vm/prod' },
    ];
    expect(roleOf(cpus(1, { reservations: stack }))).toBe('vm/prod');
  });
});

test('sums have no rounding errors and leave out what may be revoked', () => {
  expect(
    sumMilli(
      Array.from({ length: 10 }, () => cpus(0.1)),
      'cpus',
    ),
  ).toBe(1000);
  expect(sumMilli([cpus(0.1), cpus(0.2), cpus(4, { revocable: {} })], 'cpus')).toBe(300);
});

describe('takeScalar', () => {
  const reserved = { reservations: [{ type: 'STATIC', role: 'vm' }] } as const;

  test('takes reserved resources first and gives back the rest', () => {
    expect(takeScalar([cpus(4), cpus(1.5, reserved)], 'cpus', 2000)).toEqual({
      taken: [cpus(1.5, reserved), cpus(0.5)],
      left: [cpus(3.5)],
    });
  });

  test('gives nothing rather than too little', () => {
    expect(takeScalar([cpus(1.9)], 'cpus', 2000)).toBeUndefined();
  });
});

test('agents of the recordings have the totals they were started with', () => {
  const folder = join(import.meta.dirname, 'testdata');
  const file = readdirSync(folder).find((name) => name.startsWith('09-operator'))!;
  const line = readFileSync(join(folder, file), 'utf8')
    .split('\n')
    .find((text) => text.startsWith('{"type":"GET_AGENTS","get_agents"'))!;
  const { agents } = (JSON.parse(line) as { get_agents: { agents: OperatorAgent[] } }).get_agents;
  expect(agents.map(({ total_resources }) => sumMilli(total_resources, 'cpus'))).toEqual([4000, 4000]);
});
