import { describe, expect, test } from 'vitest';
import type { VirtualMachine } from '#lib/api/generated/virtualmachine.ts';
import { fc } from '#test/properties.ts';
import { dominantShare, inFairOrder } from './waiting.ts';

/** "a1" is a machine of tenant a, born in second 1. */
function machine(text: string, priority = 0): VirtualMachine {
  const [namespace, second] = [text[0]!, text.slice(1)];
  const creationTimestamp = `2026-01-01T00:00:${second.padStart(2, '0')}Z`;
  return {
    apiVersion: 'computefactory.io/v1alpha1',
    kind: 'VirtualMachine',
    metadata: { namespace, name: text, uid: text, creationTimestamp },
    spec: { priority, image: { name: 'i' } },
  } as unknown as VirtualMachine;
}

/** The order when every machine, or those of these names only, find a place of one share. */
function order(
  machines: readonly VirtualMachine[],
  shares: Record<string, number>,
  placed?: readonly string[],
): string {
  const share = new Map(Object.entries(shares));
  const names: string[] = [];
  for (const { metadata } of inFairOrder(machines, (namespace) => share.get(namespace) ?? 0)) {
    names.push(metadata.name);
    if (!placed || placed.includes(metadata.name))
      share.set(metadata.namespace!, (share.get(metadata.namespace!) ?? 0) + 1);
  }
  return names.join(' ');
}

describe('inFairOrder', () => {
  test('one tenant: older first', () => {
    expect(order([machine('a3'), machine('a1'), machine('a2')], {})).toBe('a1 a2 a3');
  });

  test('a tenant that came later with few machines does not wait for one that came first with many', () => {
    expect(
      order(
        ['a1', 'a2', 'a3', 'b9', 'b10'].map((text) => machine(text)),
        {},
      ),
    ).toBe('a1 b9 a2 b10 a3');
  });

  test('who has more already waits until the others have as much', () => {
    expect(
      order(
        ['a1', 'a2', 'b3', 'b4', 'b5'].map((text) => machine(text)),
        { a: 2 },
      ),
    ).toBe('b3 b4 a1 b5 a2');
  });

  test('a higher priority comes first whoever has it', () => {
    expect(order([machine('a1'), machine('b2', 5), machine('b3', 5)], { b: 9 })).toBe('b2 b3 a1');
  });

  test('what finds no place costs no share', () => {
    expect(
      order(
        ['a1', 'a2', 'a3', 'b4'].map((text) => machine(text)),
        {},
        ['a3', 'b4'],
      ),
    ).toBe('a1 a2 a3 b4');
  });

  test('everyone is served once, and at no time is anyone two ahead of another who still waits', () => {
    const texts = fc.uniqueArray(fc.tuple(fc.constantFrom('a', 'b', 'c'), fc.nat(59)).map((pair) => pair.join('')));
    fc.assert(
      fc.property(texts, (all) => {
        const served = order(
          all.map((text) => machine(text)),
          {},
        )
          .split(' ')
          .filter(Boolean);
        expect(served.toSorted()).toEqual(all.toSorted());
        const count = (names: readonly string[], tenant: string) => names.filter((name) => name[0] === tenant).length;
        for (let index = 0; index < served.length; index++) {
          const [before, after] = [served.slice(0, index + 1), served.slice(index + 1)];
          for (const one of 'abc')
            for (const other of 'abc')
              if (count(after, other) > 0) expect(count(before, one) - count(before, other)).toBeLessThan(2);
        }
      }),
    );
  });
});

test('dominantShare is the larger of two, and 0 of a cluster that has nothing', () => {
  expect(dominantShare({ cpu: 1, mem: 6 }, { cpu: 10, mem: 10 })).toBe(0.6);
  expect(dominantShare({ cpu: 1, mem: 1 }, { cpu: 0, mem: 0 })).toBe(0);
});
