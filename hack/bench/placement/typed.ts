/**
 * A ceiling, no rival: room alone, in two arrays of numbers, and every host looked at for every machine. No rules, no offers, no objects, no
 * reasons.
 */
import type { VirtualMachine } from '#lib/api/generated/virtualmachine.ts';
import { type BenchHost, roomFor } from './mixes.ts';

/** uid -> host name. */
export function placeInArrays(machines: readonly VirtualMachine[], hosts: readonly BenchHost[]): Map<string, string> {
  const cpu = Float64Array.from(hosts, ({ room }) => room.cpu);
  const mem = Float64Array.from(hosts, ({ room }) => room.mem);
  const placed = new Map<string, string>();
  for (const vm of machines) {
    const ask = roomFor(vm);
    let best = -1;
    for (let host = 0; host < cpu.length; host += 1)
      if (cpu[host]! >= ask.cpu && mem[host]! >= ask.mem && (best < 0 || cpu[host]! < cpu[best]!)) best = host;
    if (best < 0) continue;
    cpu[best]! -= ask.cpu;
    mem[best]! -= ask.mem;
    placed.set(vm.metadata.uid, hosts[best]!.hostname);
  }
  return placed;
}
