/** A host that is counted by imitation, and what Mesos has of it. */
import type { Clock } from '#lib/std/clock.ts';
import { type Amounts, amounts } from '../amounts.ts';
import { type Books, booksOf } from '../books.ts';
import type { Counters } from '../host.ts';
import { identity, type Lab } from './lab.ts';
import { host } from './service.ts';

/** What machines may take: all of it they do take here. */
export const roomOf = ({ machines, loose }: Books): Amounts => amounts((name) => machines[name] + loose[name]);

export async function booksIn({ clock, operator }: Lab): Promise<Books> {
  let answer: Books | undefined;
  void operator.agents().then(({ agents = [] }) => {
    answer = booksOf(agents[0]!, identity);
  });
  while (!answer) await clock.advance(1);
  return answer;
}

/** A host whose processors are used by services and, as far as they may, by machines. */
export function simulatedHost(load: (ms: number) => Amounts, startMs: number, machines: () => Amounts) {
  let [lastMs, busyMs, ownMs] = [startMs, 0, 0];
  const pass = (untilMs: number) => {
    for (; lastMs < untilMs; lastMs += 1_000) {
      ownMs += machines().cpus;
      busyMs += machines().cpus + load(lastMs - startMs).cpus;
    }
  };
  return (clock: Clock): Counters => {
    pass(clock.monotonic());
    const used = load(clock.monotonic() - startMs);
    const own = { mem: machines().mem, disk: machines().disk };
    return {
      ...{ atMs: lastMs, capacity: host, busyMs, ownBusyMs: new Map([['qemu-1-cf', ownMs]]), own },
      used: { mem: used.mem + own.mem, disk: used.disk + own.disk },
    };
  };
}
