/** The story of one machine that moves between two hosts, to be struck at any of its moments, and what must have come of it. */
import { expect } from 'vitest';
import { VirtualClock } from '#test/virtual-clock.ts';
import { type Moment, type OnMoment, TwoHosts } from './two-hosts.ts';

export async function begun(onMoment: OnMoment = () => undefined): Promise<TwoHosts> {
  const world = await TwoHosts.open(new VirtualClock());
  const { here, there } = world.launches();
  world.launch('source', here);
  await until(world, () => world.worker('source').report(world.uid)?.phase === 'Running');
  world.moments.length = 0;
  world.launch('destination', there);
  world.onMoment = onMoment;
  return world;
}

export async function until(world: TwoHosts, is: () => boolean, ms = 300_000): Promise<void> {
  for (let passed = 0; !is(); passed += 200) {
    if (passed > ms) throw new Error(`It did not come to that: ${story(world)}`);
    await world.pass(200);
  }
}

const story = (world: TwoHosts) =>
  JSON.stringify({
    source: world.worker('source').report(world.uid),
    destination: world.worker('destination').report(world.uid),
    domains: [world.domain('source')?.power, world.domain('destination')?.power],
    last: world.moments.slice(-15).map(({ host, what }) => `${host} ${what}`),
  });

/** One machine, in one place, and nothing else of it anywhere. */
export async function settled(world: TwoHosts, boots: readonly number[] = [1]): Promise<'source' | 'destination'> {
  const { here, there } = world.launches();
  const ended = (name: 'source' | 'destination', id: string) => world.host(name).terminations.has(id);
  await until(world, () => {
    const [source, destination] = [ended('source', here.taskId), ended('destination', there.taskId)];
    const own = world.worker('source').report(world.uid);
    return source !== destination && world.lives.length === 1 && (source || own?.migration?.state !== 'Sending');
  });
  await world.pass(5_000);
  expect(world.problems, story(world)).toEqual([]);
  const [winner, ...others] = world.lives;
  expect(others).toEqual([]);
  const loser = winner === 'source' ? 'destination' : 'source';
  expect(world.domain(loser), story(world)).toBeUndefined();
  expect(await world.worker(loser).owners()).toEqual([]);
  expect(await world.worker(winner!).owners()).toEqual([world.uid]);
  expect([world.worker(loser).tasks(), world.worker(winner!).tasks()]).toEqual([
    [],
    [winner === 'source' ? here.taskId : there.taskId],
  ]);
  // Its guest was never started anew, unless it went off by itself.
  expect(boots).toContain(world.domain(winner!)?.boots);
  return winner!;
}

/** The same story as often as it has moments, with `strike` at another one each time. What is told is which moment it was. */
export async function atEach(
  strike: OnMoment,
  check: (world: TwoHosts) => Promise<unknown>,
  is: (moment: Moment) => boolean = () => true,
): Promise<readonly unknown[]> {
  const outcomes: unknown[] = [];
  const count = await countOf(is);
  for (let index = 0; index < count; index++) {
    let left = index;
    let struck: Moment | undefined;
    await using world = await begun((each, moment, worker) => {
      if (struck || !is(moment) || left-- > 0) return;
      struck = moment;
      strike(each, moment, worker);
    });
    try {
      outcomes.push(await check(world));
    } catch (error) {
      // The end of the story may be a moment shorter.
      if (!struck) return outcomes;
      throw new Error(`Struck at ${struck?.host} ${struck?.what} (${index})`, { cause: error });
    }
  }
  return outcomes;
}

async function countOf(is: (moment: Moment) => boolean): Promise<number> {
  await using world = await begun();
  await settled(world);
  return world.moments.filter(is).length;
}

export const other = { source: 'destination', destination: 'source' } as const;

/** One of its tasks was to end: it has, with nothing left of it; the machine is at the other host at most. */
export async function endedAt(world: TwoHosts, host: 'source' | 'destination'): Promise<boolean> {
  const { here, there } = world.launches();
  const taskOf = { source: here.taskId, destination: there.taskId };
  const hasEnded = (name: 'source' | 'destination') => world.host(name).terminations.has(taskOf[name]);
  const isHere = (name: 'source' | 'destination') => {
    const report = world.worker(name).report(world.uid);
    return report?.phase === 'Running' && report.migration?.state !== 'Sending';
  };
  await until(world, () => hasEnded(host) && (hasEnded(other[host]) || isHere(other[host])));
  await world.pass(5_000);
  expect(world.problems, story(world)).toEqual([]);
  for (const name of ['source', 'destination'] as const) {
    const owns = hasEnded(name) ? [] : [world.uid];
    expect(await world.worker(name).owners(), name).toEqual(owns);
    expect(world.domain(name)?.power, name).toBe(hasEnded(name) ? undefined : 'On');
    expect(world.worker(name).tasks(), name).toHaveLength(owns.length);
  }
  return !hasEnded(other[host]);
}
