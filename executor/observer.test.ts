import { expect, test } from 'vitest';
import { silentLog } from '#lib/std/log.ts';
import { VirtualClock } from '#test/virtual-clock.ts';
import type { DomainEvent } from './hypervisor.ts';
import { watchDomains } from './observer.ts';

test('a guest that boots anew is told of, and so is that events were missed', async () => {
  let say: (event: DomainEvent | 'lost') => void = () => undefined;
  const told: string[] = [];
  await using _ = watchDomains({
    hypervisor: {
      list: async () => ({ ours: [], foreign: { count: 0, cores: 0, memoryMiB: 0 } }),
      watch: (onEvent) => {
        say = onEvent;
        return { [Symbol.dispose]: () => undefined };
      },
    },
    machines: {
      compare: () => undefined,
      hint: (uid) => told.push(`hint ${uid}`),
      rebooted: (uid) => told.push(`rebooted ${uid}`),
    },
    lost: () => told.push('lost'),
    everyMs: 10_000,
    clock: new VirtualClock(),
    log: silentLog,
  });
  say({ uid: 'a', power: 'On' });
  say({ uid: 'b', power: 'On', rebooted: true });
  say('lost');
  expect(told).toEqual(['hint a', 'rebooted b', 'hint b', 'lost']);
});
