import { describe, expect, test } from 'vitest';
import {
  add,
  availableTo,
  bagOf,
  contains,
  parseAttributes,
  parseResources,
  render,
  subtract,
  describe as words,
} from './resources.ts';

const bag = (text: string) => bagOf(parseResources(text));

describe('bags', () => {
  test('scalars are counted in thousandths: 0.1 + 0.2 is 0.3', () => {
    const sum = add(bag('cpus:0.1'), bag('cpus:0.2'));
    expect(sum).toEqual(bag('cpus:0.3'));
    expect(subtract(sum, bag('cpus:0.3')).size).toBe(0);
  });

  test('subtract() cuts ranges and add() joins them again', () => {
    const all = bag('ports:[31000-32000]');
    const left = subtract(all, bag('ports:[31005-31006, 31010-31010]'));
    expect(words(left, 'vm')).toBe('ports(allocated: vm):[31000-31004, 31007-31009, 31011-32000]');
    expect(add(left, bag('ports:[31005-31006, 31010-31010]'))).toEqual(all);
  });

  test.for([
    ['cpus:4;mem:10', 'cpus:4', true],
    ['cpus:4;mem:10', 'cpus:4.001', false],
    ['cpus:4', 'mem:1', false],
    ['ports:[1-9]', 'ports:[3-4]', true],
    ['ports:[1-4,6-9]', 'ports:[4-6]', false],
  ] as const)('contains(%s, %s) is %s', ([whole, part, expected]) => {
    expect(contains(bag(whole), bag(part))).toBe(expected);
  });

  test('reserved resources go to their role and its children only', () => {
    const mixed = bag('cpus(vm):2;cpus:1');
    expect(words(availableTo(mixed, 'vm/prod'), 'x')).toBe(
      'cpus(allocated: x)(reservations: [(STATIC,vm)]):2; cpus(allocated: x):1',
    );
    expect(words(availableTo(mixed, 'web'), 'x')).toBe('cpus(allocated: x):1');
  });

  test('both ways of writing a reservation are the same resource', () => {
    const old = bagOf([{ name: 'cpus', type: 'SCALAR', scalar: { value: 1 }, role: 'vm' }]);
    expect(old).toEqual(bag('cpus(vm):1'));
    expect(render(old, { withRole: true })[0]).toMatchObject({ role: 'vm', reservations: [{ role: 'vm' }] });
  });
});

test('parseResources() names the part that it cannot read', () => {
  expect(() => parseResources('cpus:4;mem=1')).toThrow('Cannot read resource "mem=1"');
  expect(() => parseResources('ports:[9-1]')).toThrow('Cannot read resource "ports:[9-1]"');
});

test('parseAttributes() tells numbers, ranges and words apart', () => {
  expect(parseAttributes('rack:r1;slots:4;ok:[1-2]').map((attribute) => attribute.type)).toEqual([
    'TEXT',
    'SCALAR',
    'RANGES',
  ]);
});
