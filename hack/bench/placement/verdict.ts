/** Whether a placement broke a rule, looked at anew from the outside: throws for the first that it did. */
import type { VirtualMachine } from '#lib/api/generated/virtualmachine.ts';
import { matchesSelector } from '#lib/api/selectors.ts';
import { type BenchHost, roomFor } from './mixes.ts';

export function checkPlaced(
  placed: ReadonlyMap<string, string>,
  machines: readonly VirtualMachine[],
  hosts: readonly BenchHost[],
  expected: number,
): void {
  if (placed.size !== expected) throw new Error(`${placed.size} machines were placed, not ${expected}`);
  const byName = new Map(hosts.map((host) => [host.hostname, host]));
  const used = new Map<string, { cpu: number; mem: number }>();
  for (const vm of machines) {
    const host = byName.get(placed.get(vm.metadata.uid) ?? '');
    if (!host) continue;
    const sum = used.get(host.hostname) ?? { cpu: 0, mem: 0 };
    const ask = roomFor(vm);
    used.set(host.hostname, { cpu: sum.cpu + ask.cpu, mem: sum.mem + ask.mem });
    if (!matchesSelector(vm.spec.placement?.hostSelector, host.labels))
      throw new Error(`${vm.metadata.name} is on ${host.hostname}, which its selector does not allow`);
  }
  for (const [hostname, { cpu, mem }] of used) {
    const { room } = byName.get(hostname)!;
    if (cpu > room.cpu || mem > room.mem) throw new Error(`${hostname} is over-committed`);
  }
}
