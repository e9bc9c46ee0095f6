import { ConfigMap, Event, Lease, Secret } from '#lib/api/core.ts';
import { ComputeFactory, factoryKinds, VirtualMachine, VMPool } from '#lib/api/generated/index.ts';
import type { Kind } from '#lib/api/meta.ts';

/** Kinds whose objects may own others or be owned. Events and leases live by time, not by owners, and change too often to be watched. */
export const collectedKinds: readonly Kind[] = [Secret, ConfigMap, ...factoryKinds];

const inOrder: readonly Kind[] = [ComputeFactory, VMPool, VirtualMachine];

/**
 * How a namespace is emptied, step by step: what makes others first, or it would make them anew; and machines before the
 * subnets, addresses and images that they stand on.
 */
export const emptyingOrder: readonly (readonly Kind[])[] = [
  ...inOrder.map((kind) => [kind]),
  [...factoryKinds.filter((kind) => kind.namespaced && !inOrder.includes(kind)), Secret, ConfigMap, Lease, Event],
];
