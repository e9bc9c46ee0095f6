/** Whether a placement broke a rule, looked at anew from the outside: throws for the first that it did. */
import type { VirtualMachine } from '#lib/api/generated/virtualmachine.ts';
import { matchesHost } from '#lib/api/host-selectors.ts';
import { type BenchHost, poolOf, roomFor } from './mixes.ts';

export function checkPlaced(
  placed: ReadonlyMap<string, string>,
  machines: readonly VirtualMachine[],
  hosts: readonly BenchHost[],
  expected: number,
): void {
  if (placed.size !== expected) throw new Error(`${placed.size} machines were placed, not ${expected}`);
  const byName = new Map(hosts.map((host) => [host.hostname, host]));
  const used = new Map<string, { cpu: number; mem: number }>();
  const pools = new Map<string, { readonly vm: VirtualMachine; readonly on: BenchHost[] }>();
  for (const vm of machines) {
    const host = byName.get(placed.get(vm.metadata.uid) ?? '');
    if (!host) continue;
    const pool = pools.get(poolOf(vm)) ?? { vm, on: [] };
    pool.on.push(host);
    pools.set(poolOf(vm), pool);
    const sum = used.get(host.hostname) ?? { cpu: 0, mem: 0 };
    const ask = roomFor(vm);
    used.set(host.hostname, { cpu: sum.cpu + ask.cpu, mem: sum.mem + ask.mem });
    if (!matchesHost(vm.spec.placement?.hostSelector, host.labels))
      throw new Error(`${vm.metadata.name} is on ${host.hostname}, which its selector does not allow`);
  }
  for (const { vm, on } of pools.values()) checkPool(vm, on, hosts);
  for (const [hostname, { cpu, mem }] of used) {
    const { room } = byName.get(hostname)!;
    if (cpu > room.cpu || mem > room.mem) throw new Error(`${hostname} is over-committed`);
  }
}

function checkPool({ metadata, spec }: VirtualMachine, on: readonly BenchHost[], hosts: readonly BenchHost[]): void {
  if (spec.placement?.antiAffinity && new Set(on).size < on.length)
    throw new Error(`Two machines like ${metadata.name} are on one host`);
  for (const { key, maxSkew } of spec.placement?.spread ?? []) {
    const counts = new Map(hosts.map(({ labels }) => [labels[key], 0]));
    for (const { labels } of on) counts.set(labels[key], counts.get(labels[key])! + 1);
    if (Math.max(...counts.values()) - Math.min(...counts.values()) > maxSkew)
      throw new Error(`Machines like ${metadata.name} are spread unevenly over ${key}`);
  }
}
