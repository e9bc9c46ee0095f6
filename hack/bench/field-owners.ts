/** Ap: what it costs to know who owns which field, on an object with a list of 20 items that are told apart by name. */
import { apply } from '#apiserver/apply/apply.ts';
import { type Managers, readManagers, writeManagers } from '#apiserver/apply/managers.ts';
import { objectType } from '#apiserver/apply/type.ts';
import { update } from '#apiserver/apply/update.ts';
import type { Types, Writer } from '#apiserver/apply/writer.ts';
import type { JsonObject } from '#apiserver/json/json.ts';

const version = 'bench/v1';
const text = { type: 'string' } as const;
const number = { type: 'integer' } as const;
const port = { type: 'object', properties: { name: text, port: number, protocol: text } } as const;
const ports = {
  type: 'array',
  'x-kubernetes-list-type': 'map',
  'x-kubernetes-list-map-keys': ['name'],
  items: port,
} as const;
const spec = { type: 'object', properties: { image: text, replicas: number, ports } } as const;
const type = objectType({ type: 'object', properties: { spec } });
const types: Types = (apiVersion) => (apiVersion === version ? type : undefined);

const rounds = 5_000;

export async function fieldOwners(): Promise<readonly string[]> {
  const live = service(1, 1);
  const managers = ownersAfter(undefined, live, new Map(), 'A');
  const stored = writeManagers(ownersAfter(live, { ...live, spec: { replicas: 1 } }, managers, 'B'));
  const changed = service(100, 1);
  const again = micros(() => applied(live, live, readManagers(stored)!, 'A'));
  const change = micros(() => applied(live, changed, readManagers(stored)!, 'A'));
  const figure = micros(() => {
    const owners = update(live, service(1, 2), readManagers(stored)!, writer('C', 'Update'), types);
    return writeManagers(owners);
  });
  return [`Ap apply-again-us=${again} apply-change-us=${change} update-us=${figure} items=20 managers=2`];
}

function service(firstPort: number, replicas: number): JsonObject {
  const items = Array.from({ length: 20 }, (_, i) => ({ name: `p${i}`, port: firstPort + i, protocol: 'TCP' }));
  return {
    apiVersion: version,
    kind: 'Service',
    metadata: { name: 'a' },
    spec: { image: 'x', replicas, ports: items },
  };
}

function writer(name: string, operation: Writer['operation']): Writer {
  const time = '2026-01-01T00:00:00Z';
  return { name, operation, apiVersion: version, subresource: '', time, reach: { type: 'all' } };
}

function applied(live: JsonObject, config: JsonObject, managers: Managers, name: string): unknown {
  return writeManagers(ownersAfter(live, config, managers, name));
}

function ownersAfter(live: JsonObject | undefined, config: JsonObject, managers: Managers, name: string): Managers {
  const result = apply({ live, config, managers, writer: writer(name, 'Apply'), types, force: true });
  if (!result.ok) throw new Error('An apply by force met a conflict');
  return result.managers;
}

/** Per round, of the processor: other programs on the machine do not count. */
function micros(round: () => unknown): string {
  for (let i = 0; i < rounds / 10; i++) round();
  const before = process.cpuUsage();
  for (let i = 0; i < rounds; i++) round();
  const { user, system } = process.cpuUsage(before);
  return ((user + system) / rounds).toFixed(0);
}
