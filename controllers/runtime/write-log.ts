/**
 * Notes what each run writes, so that run-controller.ts can wait until the caches have seen it. The run is found by the asynchronous
 * context, so phases pass nothing around.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import { Namespace } from '#lib/api/core.ts';
import type { Kind, KubeObject } from '#lib/api/meta.ts';
import type { Client } from '#lib/client/client.ts';
import { kindId } from '#lib/client/kind-id.ts';

/** Kind id -> the highest resourceVersion that was written. They are comparable integers since Kubernetes 1.35. */
export type WriteLog = Map<string, { readonly kind: Kind; readonly revision: bigint }>;

const current = new AsyncLocalStorage<WriteLog>();

/** Runs `body`; every write through a noting client inside it is noted in `writes`. */
export function notingWrites<T>(writes: WriteLog, body: () => Promise<T>): Promise<T> {
  return current.run(writes, body);
}

function note<T extends KubeObject>(kind: Kind, object: T): T {
  const writes = current.getStore();
  const text = object.metadata.resourceVersion;
  if (writes && /^\d+$/.test(text)) {
    const known = writes.get(kindId(kind))?.revision ?? 0n;
    if (BigInt(text) > known) writes.set(kindId(kind), { kind, revision: BigInt(text) });
  }
  return object;
}

/** The same client; a delete is not noted, since its revision is not told, and repeating one does no harm. */
export function notingClient(client: Client): Client {
  return {
    ...client,
    create: async (kind, object, options) => note(kind, await client.create(kind, object, options)),
    update: async (kind, object, options) => note(kind, await client.update(kind, object, options)),
    patch: async (kind, at, patch, options) => note(kind, await client.patch(kind, at, patch, options)),
    updateStatus: async (kind, object, options) => note(kind, await client.updateStatus(kind, object, options)),
    patchStatus: async (kind, at, patch, options) => note(kind, await client.patchStatus(kind, at, patch, options)),
    finalize: async (namespace, options) => note(Namespace, await client.finalize(namespace, options)),
  };
}
