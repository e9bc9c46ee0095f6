/** The baseline: every machine looks at every host object, filters, scores, takes the best. What one would write first. */
import type { Room } from '#controllers/scheduler/room.ts';
import type { VirtualMachine } from '#lib/api/generated/virtualmachine.ts';
import { matchesHost } from '#lib/api/host-selectors.ts';
import { type BenchHost, poolOf, roomFor } from './mixes.ts';

interface Seat {
  readonly host: BenchHost;
  free: Room;
}

/** Pool, key and value -> machines. */
type Counts = Map<string, number>;

type Filter = (seat: Seat) => boolean;

/** uid -> host name. */
export function placeNaively(machines: readonly VirtualMachine[], hosts: readonly BenchHost[]): Map<string, string> {
  const seats: Seat[] = hosts.map((host) => ({ host, free: host.room }));
  const placed = new Map<string, string>();
  const counts: Counts = new Map();
  for (const vm of machines) {
    const ask = roomFor(vm);
    const best = bestOf(seats, filtersOf(vm, ask, seats, counts), ask);
    if (!best) continue;
    for (const key of countedKeys(vm)) {
      const id = countId(vm, key, best);
      counts.set(id, (counts.get(id) ?? 0) + 1);
    }
    best.free = { cpu: best.free.cpu - ask.cpu, mem: best.free.mem - ask.mem };
    placed.set(vm.metadata.uid, best.host.hostname);
  }
  return placed;
}

const countedKeys = ({ spec }: VirtualMachine) =>
  [...(spec.placement?.antiAffinity ?? []), ...(spec.placement?.spread ?? [])].map(({ key }) => key);

const countId = (vm: VirtualMachine, key: string, { host }: Seat) =>
  `${poolOf(vm)}/${key}/${key === 'host' ? host.hostname : host.labels[key]}`;

function filtersOf(vm: VirtualMachine, ask: Room, seats: readonly Seat[], counts: Counts): readonly Filter[] {
  const { hostSelector, antiAffinity = [], spread = [] } = vm.spec.placement ?? {};
  const countOf = (key: string) => (seat: Seat) => counts.get(countId(vm, key, seat)) ?? 0;
  const even = spread.map(({ key, maxSkew }): Filter => {
    const count = countOf(key);
    let least = Number.POSITIVE_INFINITY;
    for (const seat of seats) least = Math.min(least, count(seat));
    return (seat) => count(seat) - least < maxSkew;
  });
  return [
    ...(hostSelector ? [({ host }: Seat) => matchesHost(hostSelector, host.labels)] : []),
    ({ free }: Seat) => free.cpu >= ask.cpu && free.mem >= ask.mem,
    ...antiAffinity.map(
      ({ key }): Filter =>
        (seat) =>
          countOf(key)(seat) === 0,
    ),
    ...even,
  ];
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
