import { expect, test } from 'vitest';
import { HostExecutor } from './host-executor.ts';

/** One that was offered as running, and launched on. */
function launchedOn(): HostExecutor {
  const executor = new HostExecutor('ex');
  executor.offered(['ex']);
  executor.sent(['t1', 't2']);
  return executor;
}

test('one that the master counts and the agent does not have is replaced by one with another id', () => {
  const executor = launchedOn();
  executor.missedBy('t1');
  expect(executor).toMatchObject({ id: 'ex', isKnown: true });
  executor.offered(['ex']);
  expect(executor).toMatchObject({ id: 'ex-2', isKnown: false });
  executor.offered(['ex', 'ex-2', 'ex-old-7', 'other']);
  expect(executor).toMatchObject({ id: 'ex-2', isKnown: true });
  // Said late, of a task that went with the id before.
  executor.missedBy('t2');
  executor.offered(['ex', 'ex-2']);
  expect(executor.id).toBe('ex-2');
  executor.sent(['t3']);
  executor.missedBy('t3');
  executor.offered(['ex', 'ex-2']);
  expect(executor).toMatchObject({ id: 'ex-3', isKnown: false });
});

test('one whose end the master knows is started again under its id', () => {
  const executor = launchedOn();
  executor.missedBy('t1');
  executor.offered([]);
  expect(executor).toMatchObject({ id: 'ex', isKnown: false });
  // Started meanwhile, and not heard yet.
  executor.offered(['ex']);
  expect(executor).toMatchObject({ id: 'ex', isKnown: true });
});

test('what is said late of a launch before the last says nothing: the last may have started it', () => {
  const executor = launchedOn();
  executor.missedBy('t1');
  executor.sent(['t3']);
  executor.missedBy('t2');
  executor.offered(['ex']);
  expect(executor.id).toBe('ex');
});

test('one that was heard since is there', () => {
  const executor = launchedOn();
  executor.missedBy('t1');
  executor.heard('ex');
  executor.missedBy('t2');
  executor.offered(['ex']);
  expect(executor.id).toBe('ex');
});
