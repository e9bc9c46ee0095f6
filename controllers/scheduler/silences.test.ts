import { expect, test } from 'vitest';
import { VirtualClock } from '#test/virtual-clock.ts';
import { ExecutorBook, silentAfterMs } from './executor-book.ts';
import { Ledger } from './ledger.ts';
import { Silences } from './silences.ts';
import type { World } from './world.ts';

test('Silences.look() tells once of each host with machines whose executor falls silent, and once of its return', async () => {
  const clock = new VirtualClock();
  const ledger = new Ledger({ share: { cpu: 0, mem: 0 }, id: 'ex' });
  const executors = new ExecutorBook();
  const world = { clock, ledger, executors, startedMs: clock.monotonic() } as unknown as World;
  const silences = new Silences(world);
  let sequence = 0;
  const beat = (hostname: string) => {
    sequence += 1;
    const heartbeat = { type: 'heartbeat', workerId: 'w', sequence, machines: [], operations: [] };
    executors.hear({ hostname, agentId: 'S', executorId: 'ex' }, heartbeat as never, clock.monotonic());
  };
  for (const hostname of ['a', 'b']) ledger.occupy(`vm-${hostname}`, hostname, { cpu: 1, mem: 1 });
  expect(ledger.machinesOn('b')).toEqual(['vm-b']);
  beat('a');
  beat('empty');
  await clock.advance(silentAfterMs - 1);
  beat('a');
  expect(silences.look()).toEqual([]);
  await clock.advance(1);
  expect(silences.look()).toEqual(['b']);
  expect(silences.look()).toEqual([]);
  beat('b');
  expect(silences.look()).toEqual(['b']);
  ledger.release('vm-b');
  await clock.advance(silentAfterMs);
  expect(silences.look()).toEqual(['a']);
});
