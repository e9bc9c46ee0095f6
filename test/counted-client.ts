/** A client that counts the calls going through it and fails the one it is told to. */
import type { Client } from '#lib/client/client.ts';
import { ApiError } from '#lib/std/errors.ts';

/** before: the call never reached the server. after: it did its work, and the answer was lost. */
export type Failure = 'before' | 'after';

export interface Calls {
  readonly total: number;
  /** Calls that change something on success, whether or not they changed anything. */
  readonly writes: number;
  /** The call with this number, counted from 1, fails once. */
  fail(call: number, how: Failure): void;
}

const reads: ReadonlySet<keyof Client> = new Set(['discover', 'get', 'list']);

export function countedClient(client: Client): { readonly client: Client; readonly calls: Calls } {
  let total = 0;
  let writes = 0;
  let planned: { readonly call: number; readonly how: Failure } | undefined;

  const counted = async <R>(name: keyof Client, method: () => Promise<R>): Promise<R> => {
    total += 1;
    if (!reads.has(name)) writes += 1;
    const how = planned?.call === total ? planned.how : undefined;
    const lost = new ApiError('ServiceUnavailable', `Failed on purpose: call ${total}, ${name}, ${how}`);
    if (how === 'before') throw lost;
    const result = await method();
    if (how === 'after') throw lost;
    return result;
  };

  return {
    client: {
      discover: (options) => counted('discover', () => client.discover(options)),
      get: (kind, at, options) => counted('get', () => client.get(kind, at, options)),
      list: (kind, options) => counted('list', () => client.list(kind, options)),
      create: (kind, object, options) => counted('create', () => client.create(kind, object, options)),
      update: (kind, object, options) => counted('update', () => client.update(kind, object, options)),
      patch: (kind, at, patch, options) => counted('patch', () => client.patch(kind, at, patch, options)),
      updateStatus: (kind, object, options) =>
        counted('updateStatus', () => client.updateStatus(kind, object, options)),
      patchStatus: (kind, at, patch, options) =>
        counted('patchStatus', () => client.patchStatus(kind, at, patch, options)),
      finalize: (namespace, options) => counted('finalize', () => client.finalize(namespace, options)),
      delete: (kind, at, options) => counted('delete', () => client.delete(kind, at, options)),
      watch: (kind, options) => client.watch(kind, options),
    },
    calls: {
      get total() {
        return total;
      },
      get writes() {
        return writes;
      },
      fail(call, how) {
        planned = { call, how };
      },
    },
  };
}
