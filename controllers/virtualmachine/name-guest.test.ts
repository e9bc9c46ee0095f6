import { expect, test } from 'vitest';
import type { Run } from '#controllers/runtime/controller.ts';
import type { VirtualMachine } from '#lib/api/generated/index.ts';
import { VirtualClock } from '#test/virtual-clock.ts';
import { hostnameKeys, nameGuest } from './name-guest.ts';
import type { Scope } from './scope.ts';
import { recentlyTaken } from './taken.ts';

const machine = (uid: string, changes: object = {}) =>
  ({
    metadata: { uid, name: uid, namespace: 'n', labels: { 'computefactory.io/pool': 'p' } },
    spec: { hostname: 'node' },
    ...changes,
  }) as unknown as VirtualMachine;

function open() {
  const stored: VirtualMachine[] = [];
  const holders = (key: string) => stored.filter((vm) => hostnameKeys(vm).includes(key));
  const phase = nameGuest(holders, recentlyTaken(new VirtualClock()));
  const name = (vm: VirtualMachine) => {
    const scope = { vm, image: undefined, resolved: {} } as unknown as Scope;
    void phase(scope, {} as Run);
    return scope.resolved.hostname;
  };
  return { stored, name };
}

test('a name that was given a moment ago is not given again before the cache has it, save to the same machine', () => {
  const { name } = open();
  expect(name(machine('a'))).toBe('node');
  expect(name(machine('b'))).toMatch(/^node-[a-z2-7]{5}$/);
  expect(name(machine('a'))).toBe('node');
});

test('a name that the cache has is not given again, however long ago it was given', () => {
  const { stored, name } = open();
  stored.push(machine('a', { status: { hostname: 'node' } }));
  expect(name(machine('b'))).toMatch(/^node-/);
  expect(name(stored[0]!)).toBe('node');
});

test('two names that are cut alike and meet in their five letters, too, become two', () => {
  const long = machine('a', { spec: { hostname: 'x'.repeat(64) } });
  const first = open().name(long);
  const { stored, name } = open();
  stored.push(machine('b', { status: { hostname: first } }));
  expect(name(long)).toMatch(/^xxxxxxxxx-[a-z2-7]{5}$/);
  expect(name(long)).not.toBe(first);
});
