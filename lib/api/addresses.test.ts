import { describe, expect, test } from 'vitest';
import { addressPlan, freeAddresses, isUsable } from './addresses.ts';
import { formatIPv4, parseCidr, parseIPv4, parseRange } from './ipv4.ts';

test('addresses are read and written as they are', () => {
  for (const text of ['0.0.0.0', '10.66.10.14', '255.255.255.255']) expect(formatIPv4(parseIPv4(text))).toBe(text);
});

test.each(['1.2.3', '1.2.3.256', '01.2.3.4', '1.2.3.4.5', 'a.b.c.d', ''])('parseIPv4() refuses %o', (text) => {
  expect(() => parseIPv4(text)).toThrow(RangeError);
});

test('parseCidr() names the network when bits behind the prefix are set', () => {
  expect(() => parseCidr('10.66.10.7/24')).toThrow('write 10.66.10.0/24');
});

test('parseRange() refuses a range that runs backwards', () => {
  expect(() => parseRange('10.0.0.9..10.0.0.2')).toThrow(RangeError);
});

describe('freeAddresses()', () => {
  const free = (spec: Parameters<typeof addressPlan>[0], taken: readonly string[] = []) => [
    ...freeAddresses(addressPlan(spec), new Set(taken)),
  ];

  test('leaves out network, broadcast, gateway, excluded and taken ones, lowest first', () => {
    expect(free({ cidr: '10.0.0.0/29' })).toEqual(['10.0.0.2', '10.0.0.3', '10.0.0.4', '10.0.0.5', '10.0.0.6']);
    expect(free({ cidr: '10.0.0.0/29', gateway: 'none' })[0]).toBe('10.0.0.1');
    expect(free({ cidr: '10.0.0.0/29', excludeIPs: ['10.0.0.2..10.0.0.4'] }, ['10.0.0.5'])).toEqual(['10.0.0.6']);
  });

  test('overlapping exclusions are counted once', () => {
    const plan = addressPlan({
      cidr: '10.0.0.0/28',
      excludeIPs: ['10.0.0.1..10.0.0.4', '10.0.0.3..10.0.0.6', '10.0.0.6'],
    });
    expect(plan.usable).toBe(8);
    expect(isUsable(plan, parseIPv4('10.0.0.6'))).toBe(false);
    expect(isUsable(plan, parseIPv4('10.0.0.7'))).toBe(true);
  });

  test('a block that is full is passed over as a whole, with what is excluded in it', () => {
    const asked: string[] = [];
    const has = (address: string) => asked.push(address) > 0 && address === '10.0.2.0';
    const taken = { has, isFull: (block: string) => block === '10.0.1' };
    const plan = addressPlan({ cidr: '10.0.0.0/22', excludeIPs: ['10.0.0.2..10.0.0.255', '10.0.1.7', '10.0.2.1'] });
    expect(freeAddresses(plan, taken).next().value).toBe('10.0.2.2');
    expect(asked).toEqual(['10.0.2.0', '10.0.2.2']);
  });

  test('a /8 is not walked to find one address', () => {
    const [first] = freeAddresses(addressPlan({ cidr: '10.0.0.0/8' }), new Set());
    expect(first).toBe('10.0.0.2');
  });
});
