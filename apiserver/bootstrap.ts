/** What must be there before the first request: a store that answers, the namespaces of the system, the default roles and bindings. */

import { reconcileDefaults } from '#apiserver/rbac/reconcile.ts';
import { namespaces } from '#apiserver/resources/builtin.ts';
import { createObject } from '#apiserver/storage/objects.ts';
import { backoffMs } from '#lib/std/backoff.ts';
import { type Clock, timestamp } from '#lib/std/clock.ts';
import { ApiError, isCode, messageOf } from '#lib/std/errors.ts';
import type { Log } from '#lib/std/log.ts';
import type { Random } from '#lib/std/random.ts';
import { admissionDefaults } from './admission/admission.ts';
import { systemNamespaces } from './admission/namespace.ts';
import type { ApiObject } from './json/object.ts';
import type { ServerContext } from './verbs/server-context.ts';

const backoff = { firstMs: 100, maxMs: 5_000 };

export interface Patience {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly deadlineMs: number;
  readonly signal: AbortSignal;
}

/**
 * Asks the store again until it answers: etcd may start after us. Says every time that it is still waiting. Rejects with
 * ServiceUnavailable if there is no answer by the deadline, and at once for an error that waiting does not mend.
 */
export async function waitForStore<T>(ask: () => Promise<T>, patience: Patience): Promise<T> {
  const { clock, random, log, deadlineMs, signal } = patience;
  const end = clock.monotonic() + deadlineMs;
  for (let failures = 1; ; failures++) {
    try {
      return await ask();
    } catch (error) {
      if (!isCode(error, 'ServiceUnavailable', 'Timeout')) throw error;
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

export async function createDefaults(context: ServerContext): Promise<void> {
  for (const name of systemNamespaces) await createNamespace(context, name);
  await reconcileDefaults(context);
}

/** Rejects with ServiceUnavailable if the roles are not known by the deadline: without them everybody would be refused. */
export async function waitForRoles(loaded: Promise<void>, { clock, deadlineMs }: Patience): Promise<void> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const seconds = Math.round(deadlineMs / 1000);
  using _ = clock.timeout(
    () => reject(new ApiError('ServiceUnavailable', `The roles could not be read from the store for ${seconds} s`)),
    deadlineMs,
  );
  await Promise.race([loaded, late]);
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
