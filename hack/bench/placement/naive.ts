/** The baseline: every machine looks at every host object, filters, scores, takes the best. What one would write first. */
import type { Room } from '#controllers/scheduler/room.ts';
import type { VirtualMachine } from '#lib/api/generated/virtualmachine.ts';
import { matchesSelector } from '#lib/api/selectors.ts';
import { type BenchHost, roomFor } from './mixes.ts';

interface Seat {
  readonly host: BenchHost;
  free: Room;
}

type Filter = (seat: Seat) => boolean;

/** uid -> host name. */
export function placeNaively(machines: readonly VirtualMachine[], hosts: readonly BenchHost[]): Map<string, string> {
  const seats: Seat[] = hosts.map((host) => ({ host, free: host.room }));
  const placed = new Map<string, string>();
  for (const vm of machines) {
    const ask = roomFor(vm);
    const best = bestOf(seats, filtersOf(vm, ask), ask);
    if (!best) continue;
    best.free = { cpu: best.free.cpu - ask.cpu, mem: best.free.mem - ask.mem };
    placed.set(vm.metadata.uid, best.host.hostname);
  }
  return placed;
}

function filtersOf(vm: VirtualMachine, ask: Room): readonly Filter[] {
  const { hostSelector } = vm.spec.placement ?? {};
  const fits: Filter = ({ free }) => free.cpu >= ask.cpu && free.mem >= ask.mem;
  return [...(hostSelector ? [({ host }: Seat) => matchesSelector(hostSelector, host.labels)] : []), fits];
}

/** The fuller, the better: the mean of what would be used of cores and of memory. */
function bestOf(seats: readonly Seat[], filters: readonly Filter[], ask: Room): Seat | undefined {
  let best: Seat | undefined;
  let bestScore = -1;
  for (const seat of seats) {
    if (!filters.every((holds) => holds(seat))) continue;
    const used = (part: keyof Room) => 1 - (seat.free[part] - ask[part]) / seat.host.room[part];
    const score = (used('cpu') + used('mem')) / 2;
    if (score > bestScore) [best, bestScore] = [seat, score];
  }
  return best;
}
