/** The monitor against a local Mesos: what machines use when services need it, and kill -9 anywhere. */
import { expect, test } from 'vitest';
import type { Amounts } from './amounts.ts';
import { callOf } from './books.ts';
import { defaultPolicy } from './policy.ts';
import { identity, type Lab, openLab, share } from './testing/lab.ts';
import { host } from './testing/service.ts';
import { booksIn, roomOf, simulatedHost } from './testing/simulated-host.ts';

const minuteMs = 60_000;
const resources = `cpus:${host.cpus / 1000};mem:${host.mem};disk:${host.disk}`;
const need = (cpus: number): Amounts => ({ cpus, mem: 20_000, disk: 100_000 });
const isChange = (type: string) => /RESERVE|ACTIVATE|DRAIN/.test(type);

/** The services of the host need so much until told otherwise; machines use all that is theirs. */
async function startHost(lab: Lab) {
  const services = { cpus: 8_000 };
  let machines = roomOf(await booksIn(lab));
  const startMs = lab.clock.monotonic();
  const readHost = simulatedHost(
    () => need(services.cpus),
    startMs,
    () => machines,
  );
  let lives = 0;
  /** As systemd does it. */
  const startMonitor = (doom?: { readonly calls: number; readonly when: 'before' | 'after' }) => {
    const life = lab.newLife(`monitor/${++lives}`);
    if (doom) life.doom = { ...doom, strike: () => life.kill() };
    life.onEnd(() => lab.clock.timeout(() => startMonitor(), 5_000));
    const monitor = lab.monitor(life, readHost);
    void (async () => {
      for (;;) {
        await monitor.look();
        await life.clock.sleep(defaultPolicy.sampleMs);
      }
    })();
  };
  const pass = async (ms: number) => {
    for (const endMs = lab.clock.monotonic() + ms; lab.clock.monotonic() < endMs; ) {
      await lab.clock.advance(minuteMs);
      machines = roomOf(await booksIn(lab));
    }
  };
  return { services, startMonitor, pass };
}

test('what machines use is not taken: they are told, have to leave after the deadline, and the agent is opened again', async () => {
  using lab = await openLab(resources);
  const { services, startMonitor, pass } = await startHost(lab);
  startMonitor();
  await pass(4 * minuteMs);
  const divided = await booksIn(lab);
  // 32 - 8 - head-room of 1.6 and 4.8.
  expect(roomOf(divided).cpus).toBe(17_600);
  const states = lab.runTask(17_000);
  await pass(minuteMs);
  expect((await booksIn(lab)).machinesUsed.cpus).toBe(17_000);
  lab.calls.length = 0;
  services.cpus = 20_000;
  await pass(3 * minuteMs);
  const closed = await booksIn(lab);
  expect(closed).toMatchObject({ isClosed: true, drain: undefined, machinesUsed: { cpus: 17_000 } });
  expect(closed.machines.cpus).toBe(17_000);
  expect(states).toEqual(['LAUNCHED']);
  await pass(14 * minuteMs);
  expect(states).toEqual(['LAUNCHED', 'TASK_KILLED']);
  const after = await booksIn(lab);
  expect(after).toMatchObject({ isClosed: false, drain: undefined });
  expect(roomOf(after).cpus).toBeLessThanOrEqual(host.cpus - 20_000);
  expect(lab.calls.filter(isChange)).toEqual([
    // What is free: of what is not reserved, and of what is.
    ...['RESERVE_RESOURCES', 'RESERVE_RESOURCES', 'DEACTIVATE_AGENT', 'DRAIN_AGENT'],
    // All of it is now, and an executor will need its share again.
    ...['RESERVE_RESOURCES', 'UNRESERVE_RESOURCES', 'REACTIVATE_AGENT'],
  ]);
}, 120_000);

test('an agent that somebody else has deactivated stays so', async () => {
  using lab = await openLab(resources);
  const { startMonitor, pass } = await startHost(lab);
  const { agentId } = await booksIn(lab);
  void lab.operator.call(callOf({ kind: 'Close' }, agentId, identity));
  startMonitor();
  await pass(5 * minuteMs);
  const books = await booksIn(lab);
  expect(books.isClosed).toBe(true);
  expect(roomOf(books).cpus).toBe(17_600);
}, 120_000);

test.each(
  [1, 2, 3, 4, 5, 6].flatMap((calls) => [
    { calls, when: 'before' as const },
    { calls, when: 'after' as const },
  ]),
)(
  'killed $when call $calls to Mesos: the next one goes on, and no change comes within a minute of another',
  async (doom) => {
    using lab = await openLab(resources);
    const { startMonitor, pass } = await startHost(lab);
    const at: number[] = [];
    const { push } = lab.calls;
    lab.calls.push = (...types: string[]) => {
      if (types.some(isChange)) at.push(lab.clock.monotonic());
      return push.apply(lab.calls, types);
    };
    startMonitor(doom);
    await pass(8 * minuteMs);
    const books = await booksIn(lab);
    expect(roomOf(books)).toEqual({ cpus: 17_600, mem: host.mem - 20_000 - 2_000 - 6_554, disk: 800_000 });
    expect(books.loose).toEqual(share);
    for (const [index, ms] of at.slice(1).entries()) expect(ms - at[index]!).toBeGreaterThanOrEqual(minuteMs);
  },
  120_000,
);
