/** What must be there before the first request: a store that answers, and the namespaces of the system. */
import { namespaces } from '#apiserver/resources/builtin.ts';
import { createObject } from '#apiserver/storage/objects.ts';
import { publicNamespace, systemNamespace } from '#lib/api/names.ts';
import { backoffMs } from '#lib/std/backoff.ts';
import { timestamp } from '#lib/std/clock.ts';
import { ApiError, isCode, messageOf } from '#lib/std/errors.ts';
import type { Log } from '#lib/std/log.ts';
import { admissionDefaults } from './admission/admission.ts';
import type { ApiObject } from './json/object.ts';
import type { ServerContext } from './verbs/server-context.ts';

const backoff = { firstMs: 100, maxMs: 5_000 };

/** Rejects with ServiceUnavailable if the store has not answered by the deadline. Says every time that it is still waiting. */
export async function waitForStore(
  context: ServerContext,
  log: Log,
  deadlineMs: number,
  signal: AbortSignal,
): Promise<void> {
  const { clock, random, store } = context;
  const end = clock.monotonic() + deadlineMs;
  for (let failures = 1; ; failures++) {
    try {
      await store.currentRev();
      return;
    } catch (error) {
      const left = end - clock.monotonic();
      if (left <= 0)
        throw new ApiError('ServiceUnavailable', `The store did not answer for ${Math.round(deadlineMs / 1000)} s`, {
          cause: error,
        });
      log.warn('Waiting for the store', { secondsLeft: Math.round(left / 1000), reason: messageOf(error) });
      await clock.sleep(Math.min(left, backoffMs(failures, backoff, random)), signal);
    }
  }
}

export async function createSystemNamespaces(context: ServerContext): Promise<void> {
  for (const name of ['default', systemNamespace, publicNamespace]) await createNamespace(context, name);
}

async function createNamespace(context: ServerContext, name: string): Promise<void> {
  const draft: ApiObject = {
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: { name, uid: context.random.uuid(), creationTimestamp: timestamp(context.clock.now()) },
  };
  const key = { resource: namespaces, namespace: undefined, name };
  try {
    await createObject(context.store, key, admissionDefaults(draft, undefined, namespaces), false);
  } catch (error) {
    // There since an earlier start, or made by another server a moment ago.
    if (!isCode(error, 'AlreadyExists')) throw error;
  }
}
