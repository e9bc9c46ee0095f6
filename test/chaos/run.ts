/** One seed: a world, hours of faults and churn, then peace, and the question whether all is well. */
import { seededRandom } from '#lib/std/random.ts';
import { Churn } from './churn.ts';
import { Faults } from './faults.ts';
import { Observer } from './observer.ts';
import { checkSettled } from './settled.ts';
import { World } from './world.ts';

export interface Outcome {
  readonly seed: number;
  readonly traceHash: string;
  /** Broken promises, the first first; empty if all is well. */
  readonly failures: readonly string[];
  readonly faults: ReadonlyMap<string, number>;
}

const minuteMs = 60_000;
/** Long enough for every timeout of Mesos and of ours, one after the other. */
const peaceMs = 40 * minuteMs;

export async function runSeed(seed: number, hours: number): Promise<Outcome> {
  const random = seededRandom(seed);
  const faults = new Faults(seededRandom(seed ^ 0x5eed));
  const observer = new Observer();
  using world = new World({
    ...{ seed, hosts: 3, witness: observer },
    tampering: {
      request(from, to, path, body) {
        if (path === '/api/v1/scheduler') observer.called(from, body);
        return faults.request(from, to, path, body);
      },
      chunk(from, to, chunk) {
        if (to.startsWith('server')) observer.told(to, chunk);
        return faults.chunk(from, to, chunk);
      },
    },
  });
  observer.watch(world);
  faults.begin(world);
  const churn = new Churn(world, observer, random);
  await world.start();
  await world.clock.advance(minuteMs);
  const endMs = world.clock.now() + hours * 60 * minuteMs - peaceMs;
  while (world.clock.now() < endMs && world.failures.length === 0) {
    await world.clock.advance(Math.floor(random.next() * 2 * minuteMs));
    observer.check();
    if (random.next() < 0.5) await churn.step();
    else faults.strike();
  }
  if (world.failures.length === 0) {
    faults.heal();
    await churn.wantAll();
    for (let ms = 0; ms < peaceMs; ms += minuteMs) {
      await world.clock.advance(minuteMs);
      observer.check();
    }
    if (world.failures.length === 0) checkSettled(world, observer);
  }
  return { seed, traceHash: world.traceHash, failures: [...world.failures], faults: faults.made };
}
