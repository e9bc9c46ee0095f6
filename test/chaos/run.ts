/** One seed: a world, hours of faults and churn, then peace, and the question whether all is well. */
import { type Random, seededRandom } from '#lib/std/random.ts';
import { Churn } from './churn.ts';
import { Faults } from './faults.ts';
import { leftInMesos } from './left-in-mesos.ts';
import { Observer } from './observer.ts';
import { unsettled, writtenSince } from './settled.ts';
import { World } from './world.ts';

export interface Outcome {
  readonly seed: number;
  readonly traceHash: string;
  /** Broken promises, the first first; empty if all is well. */
  readonly failures: readonly string[];
  readonly faults: ReadonlyMap<string, number>;
  /** Virtual minutes until it ended. */
  readonly minutes: number;
  /** From the end of the last fault until all was as wanted, and what came last. */
  readonly settledMs: number;
  readonly last: string;
}

const minuteMs = 60_000;
const burstMs = 3_000;
const lookMs = 5_000;
/** Nobody waits for longer than this: a master takes ten minutes to give up an agent that it knows from the one before it. */
const settleMaxMs = 12 * minuteMs;
/** Of the hours, after the faults. Few seeds need more. */
const settleUsuallyMs = 10 * minuteMs;
/** Servers look for tasks without a machine every 30 s: an agent that has just come back may bring some. */
const settledForMs = 45_000;
/** A master that has not heard of an agent for 75 s gives it up, and that is news. */
const afterMs = 2 * minuteMs;
/** An update that nobody acknowledged is sent again after ten minutes at the latest. */
const quietMs = 12 * minuteMs;

export async function runSeed(seed: number, hours: number): Promise<Outcome> {
  const random = seededRandom(seed);
  const faults = new Faults(seededRandom(seed ^ 0x5eed));
  const observer = new Observer();
  using world = new World({
    ...{ seed, hosts: 3, witness: observer, tampering: faults.messages },
    ears: {
      sent: (...said) => observer.listeners.forEach((each) => void each.sent(...said)),
      heard: (...heard) => observer.listeners.forEach((each) => void each.heard(...heard)),
      closed: (...lost) => observer.listeners.forEach((each) => void each.closed(...lost)),
    },
  });
  observer.watch(world);
  faults.begin(world, observer);
  const churn = new Churn(world, observer, random);
  faults.onMove = () => void churn.migrateSome();
  const startMs = world.clock.now();
  await world.start();
  faults.operator.lookAfterwards();
  await world.clock.advance(minuteMs);
  const endMs = startMs + hours * 60 * minuteMs - settleUsuallyMs - quietMs;
  while (world.clock.now() < endMs && world.failures.length === 0) {
    await world.clock.advance(pauseMs(random));
    observer.check();
    if (random.next() < 0.5) await churn.step();
    else faults.strike();
  }
  let settled = { settledMs: 0, last: '' };
  if (world.failures.length === 0) {
    faults.heal();
    await churn.wantAll();
    settled = await settle(world, observer);
  }
  if (world.failures.length === 0) await stayQuiet(world, observer);
  const { traceHash, failures } = world;
  const minutes = Math.round((world.clock.now() - startMs) / minuteMs);
  return { seed, traceHash, failures: [...failures], faults: faults.made, minutes, ...settled };
}

/** Half of what happens follows at once: machines start within seconds, and what goes wrong must meet them there. */
function pauseMs(random: Random): number {
  const mostMs = random.next() < 0.5 ? burstMs : 2 * minuteMs;
  return Math.floor(random.next() * mostMs);
}

async function settle(world: World, observer: Observer): Promise<{ settledMs: number; last: string }> {
  let last = '';
  let wrongMs = 0;
  for (let ms = 0; ms <= settleMaxMs + settledForMs && world.failures.length === 0; ms += lookMs) {
    const wrong = unsettled(world, observer);
    if (wrong.length > 0) wrongMs = ms;
    if (ms - wrongMs >= settledForMs) return { settledMs: wrongMs, last };
    if (wrong.length > 0) last = wrong.join('\n');
    await world.clock.advance(lookMs);
    observer.check();
  }
  if (world.failures.length === 0) world.failed(last);
  return { settledMs: settleMaxMs, last };
}

async function stayQuiet(world: World, observer: Observer): Promise<void> {
  await world.clock.advance(afterMs);
  const { revision } = world.api.store;
  const { questions } = observer.sessions;
  for (let ms = 0; ms < quietMs && world.failures.length === 0; ms += minuteMs) {
    await world.clock.advance(minuteMs);
    observer.check();
    for (const wrong of [...unsettled(world, observer), ...writtenSince(world, revision)]) world.failed(wrong);
  }
  // Every ten minutes all tasks are asked for, once.
  if (observer.sessions.questions - questions > 2) world.failed('Tasks are asked for again and again');
  const looking = leftInMesos(world, observer.machines());
  await world.clock.advance(1_000);
  for (const wrong of await looking) world.failed(wrong);
}
