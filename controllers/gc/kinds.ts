import { ComputeFactory, VirtualMachine, VMPool } from '#lib/api/generated/index.ts';
import type { Kind } from '#lib/api/meta.ts';
import type { ServedKind } from '#lib/client/client.ts';
import { kindId } from '#lib/client/kind-id.ts';

/** One version of each kind, the one that the server prefers. */
function preferred(served: readonly ServedKind[]): readonly ServedKind[] {
  const byId = new Map<string, ServedKind>();
  for (const kind of served) if (!byId.has(kindId(kind))) byId.set(kindId(kind), kind);
  return [...byId.values()];
}

function can(kind: ServedKind, verbs: readonly string[]): boolean {
  return verbs.every((verb) => kind.verbs.includes(verb));
}

/** Kinds whose objects may own others or be owned. Events live by time, not by owners, and there are too many to be watched. */
export function collectable(served: readonly ServedKind[]): readonly ServedKind[] {
  return preferred(served).filter((kind) => kind.kind !== 'Event' && can(kind, ['list', 'watch', 'delete']));
}

const makers: readonly Kind[] = [ComputeFactory, VMPool, VirtualMachine];

/**
 * How a namespace is emptied, step by step: what makes others first, or it would make them anew; and machines before the
 * subnets, addresses and images that they stand on.
 */
export function emptyingOrder(served: readonly ServedKind[]): readonly (readonly Kind[])[] {
  const kinds = preferred(served).filter((kind) => kind.namespaced && can(kind, ['list', 'delete']));
  const rank = (kind: Kind) => {
    const index = makers.findIndex((maker) => kindId(maker) === kindId(kind));
    return index < 0 ? makers.length : index;
  };
  return [...makers.keys(), makers.length].map((step) =>
    kinds.filter((kind) => rank(kind) === step).map((kind) => ({ ...kind, metadataOnly: true })),
  );
}
