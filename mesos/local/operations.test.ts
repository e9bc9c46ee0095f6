import { describe, expect, test } from 'vitest';
import type { Resource } from '#mesos/types.ts';
import { totalOf } from './master/apply.ts';
import { withinQuota } from './master/quota.ts';
import { conversionsOf, convert, operationProblem } from './operations.ts';
import { bagOf, isAllocatable, parseResources, describe as words } from './resources.ts';

const bag = (text: string) => bagOf(parseResources(text));
const cpus = (value: number, ...roles: string[]): Resource => ({
  name: 'cpus',
  type: 'SCALAR',
  scalar: { value },
  ...(roles.length > 0 && { reservations: roles.map((role) => ({ type: 'DYNAMIC' as const, role })) }),
});

describe('convert', () => {
  test('RESERVE and UNRESERVE undo each other', () => {
    const reserved = convert(bag('cpus:4;mem:10'), conversionsOf('RESERVE', [cpus(1, 'vm')]));
    expect(words(reserved as never)).toBe('cpus:3; mem:10; cpus(reservations: [(DYNAMIC,vm)]):1');
    expect(convert(reserved as never, conversionsOf('UNRESERVE', [cpus(1, 'vm')]))).toEqual(bag('cpus:4;mem:10'));
  });

  test('a refined reservation is made of the one below it', () => {
    const result = convert(bagOf([cpus(2, 'vm')]), conversionsOf('RESERVE', [cpus(2, 'vm', 'vm/prod')]));
    expect(words(result as never)).toBe('cpus(reservations: [(DYNAMIC,vm),(DYNAMIC,vm/prod)]):2');
  });

  test('with a source a reservation moves from one role to the other at once', () => {
    const moved = convert(bagOf([cpus(2, 'a')]), conversionsOf('RESERVE', [cpus(2, 'b')], [cpus(2, 'a')]));
    expect(moved).toEqual(bagOf([cpus(2, 'b')]));
  });

  test('what is not there is said in the words of Mesos', () => {
    expect(convert(bag('cpus:4'), conversionsOf('RESERVE', [cpus(5, 'vm')]))).toBe('cpus:4 does not contain cpus:5');
  });
});

test('a reservation of another principal than the caller is refused', () => {
  const resource: Resource = { ...cpus(1), reservations: [{ type: 'DYNAMIC', role: 'vm', principal: 'other' }] };
  expect(operationProblem('RESERVE', [resource], bag('cpus:4'), { principal: 'ops' })).toContain(
    "authenticated principal 'ops', which does not match a reserved resource in the request with principal 'other'",
  );
});

test("an agent's total is its flags with its dynamic reservations made out of them", () => {
  expect(totalOf(bag('cpus:4;mem:10'), bagOf([cpus(1.5, 'vm')]))).toEqual(
    convert(bag('cpus:4;mem:10'), conversionsOf('RESERVE', [cpus(1.5, 'vm')])),
  );
});

test.each([
  ['cpus:0.009', false],
  ['cpus:0.01', true],
  ['mem:31.999', false],
  ['mem:32', true],
  ['ports:[1-9]', false],
])('%s is worth an offer: %s', (text, expected) => {
  expect(isAllocatable(bag(text))).toBe(expected);
});

test('a limit cuts what is offered to what is left of it, and leaves the rest alone', () => {
  const cut = withinQuota({ cpus: { value: 2 } }, bag('cpus:1.5'), bag('cpus:4;mem:64'));
  expect(cut).toEqual(bag('cpus:0.5;mem:64'));
  expect(withinQuota({ cpus: { value: 2 } }, bag('cpus:2'), bag('cpus:4;mem:64'))).toEqual(bag('mem:64'));
});
