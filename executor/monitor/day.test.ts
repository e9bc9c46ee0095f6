/** A day of a host with services of its own, against a local Mesos: what the monitor promises, at every moment. */
import { expect, test } from 'vitest';
import { seededRandom } from '#lib/std/random.ts';
import { seed } from '#test/seed.ts';
import { type Amounts, amounts, names } from './amounts.ts';
import { defaultPolicy, headRoom } from './policy.ts';
import { openLab, share } from './testing/lab.ts';
import { dayMs, host, latency, serviceLoad } from './testing/service.ts';
import { booksIn, roomOf, simulatedHost } from './testing/simulated-host.ts';

const { sampleMs, changeMs, forgetMs, giveStep } = defaultPolicy;
/** Two looks until all of a rise is seen, a minute since the change before, and the look that follows. What may be given waits six half-lives more. */
const takeLagMs = 2 * sampleMs + changeMs + sampleMs;
const giveLagMs = 6 * forgetMs + takeLagMs;
const mutating = ['RESERVE_RESOURCES', 'UNRESERVE_RESOURCES', 'DEACTIVATE_AGENT', 'DRAIN_AGENT', 'REACTIVATE_AGENT'];

test('over a day reservations follow, machines never have more than is free, and services do not notice', async () => {
  using lab = await openLab(`cpus:${host.cpus / 1000};mem:${host.mem};disk:${host.disk}`);
  const { clock } = lab;
  const startMs = clock.monotonic();
  const load = serviceLoad(seededRandom(seed));
  let room: Amounts = { ...host };
  const monitor = lab.monitor(
    lab.newLife('monitor/1'),
    simulatedHost(load, startMs, () => room),
  );
  const trace: string[] = [];
  const broken: string[] = [];
  const changes: number[] = [];
  const peaks: Amounts[] = [];
  let [seenCalls, worst] = [0, 1];
  for (let ms = 0; ms < dayMs; ms += sampleMs) {
    const look = monitor.look();
    await clock.advance(startMs + ms + sampleMs - clock.monotonic());
    await look;
    const newCalls = lab.calls.splice(0);
    for (const call of newCalls) if (mutating.includes(call)) changes.push(ms);
    seenCalls += newCalls.length;
    if (newCalls.some((call) => mutating.includes(call)) || ms % 600_000 === 0) room = roomOf(await booksIn(lab));
    lab.calls.length = 0;
    const used = load(ms + sampleMs);
    peaks.push(used);
    // Before the first minutes are over nothing is reserved yet, and no machine is there.
    if (ms < 3 * changeMs) continue;
    const at = new Date(ms).toISOString().slice(11, 19);
    const free = amounts((name) => host[name] - used[name]);
    for (const name of names)
      if (room[name] > free[name]) broken.push(`${at} ${name}: ${room[name]} of ${free[name]} free`);
    const ratio = latency(used.cpus, host.cpus - room.cpus) / latency(used.cpus, host.cpus);
    worst = Math.max(worst, ratio);
    if (ratio > 1.1) broken.push(`${at} latency x${ratio}`);
    // The last one is later than the look.
    const back = (lagMs: number) => peaks.slice(-lagMs / sampleMs - 1);
    const least = (of: readonly Amounts[], pick: (...values: number[]) => number) =>
      amounts((name) => pick(...of.map((each) => each[name])));
    const neededAllAlong = least(back(takeLagMs), Math.min);
    const neededAtMost = least(back(giveLagMs), Math.max);
    const [headAll, headMost] = [
      headRoom(neededAllAlong, host, defaultPolicy),
      headRoom(neededAtMost, host, defaultPolicy),
    ];
    for (const name of names) {
      const most = host[name] - neededAllAlong[name] - headAll[name] + defaultPolicy.takeStep * host[name];
      if (room[name] > most) broken.push(`${at} ${name}: not taken back: ${room[name]} > ${most}`);
      // A need that was before has left a sixty-fourth of it.
      const left = host[name] - neededAtMost[name] - headMost[name] - (giveStep + 0.02) * host[name];
      if (ms > giveLagMs && room[name] < left) broken.push(`${at} ${name}: not given: ${room[name]} < ${left}`);
    }
    if (ms % 3_600_000 === 0) trace.push(line(ms, used, room, ratio, changes));
  }
  for (const [index, ms] of changes.entries())
    if (index > 0 && ms - changes[index - 1]! < changeMs)
      broken.push(`two changes within ${ms - changes[index - 1]!} ms`);
  console.log(`${trace.join('\n')}\n${changes.length} changes, ${seenCalls} calls, worst latency x${worst.toFixed(3)}`);
  expect(broken.slice(0, 10)).toEqual([]);
  expect(changes.length).toBeGreaterThan(20);
  const last = await booksIn(lab);
  expect(last.machines.cpus).toBe(roomOf(last).cpus - share.cpus);
}, 240_000);

function line(ms: number, used: Amounts, room: Amounts, ratio: number, changes: readonly number[]): string {
  const cores = (milli: number) => (milli / 1000).toFixed(1).padStart(4);
  const gib = (mib: number) => (mib / 1024).toFixed(0).padStart(3);
  const hour = new Date(ms).toISOString().slice(11, 16);
  const inHour = changes.filter((at) => at > ms - 3_600_000).length;
  return (
    `${hour}  services ${cores(used.cpus)} cores ${gib(used.mem)} GiB  machines ${cores(room.cpus)} cores ${gib(room.mem)} GiB` +
    `  kept free ${cores(host.cpus - used.cpus - room.cpus)} cores  latency x${ratio.toFixed(3)}  changes ${inHour}`
  );
}
