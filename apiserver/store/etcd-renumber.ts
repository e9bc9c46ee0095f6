import { backoffMs } from '#lib/std/backoff.ts';
import type { Clock } from '#lib/std/clock.ts';
import { messageOf } from '#lib/std/errors.ts';
import type { Log } from '#lib/std/log.ts';
import type { Random } from '#lib/std/random.ts';
import { deadline, type EtcdCalls } from './etcd-calls.ts';
import { failureOf } from './etcd-errors.ts';
import type { Rev } from './store.ts';

export interface RenumberOptions {
  readonly calls: EtcdCalls;
  /** Written over and over; etcd has no other way to make its revision grow. */
  readonly key: Buffer;
  /** Told when etcd refuses to write for want of space. */
  readonly full: () => void;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

const writesAtOnce = 64;
const callTimeoutMs = 5_000;
const logEveryMs = 10_000;
const retry = { firstMs: 100, maxMs: 5_000 };

/**
 * Makes the revision grow to `target` at least, some thousands a second, and compacts there. Resolves with the revision reached; tries
 * for as long as it takes, and rejects only when the store is closed.
 */
export async function renumber(target: Rev, options: RenumberOptions): Promise<Rev> {
  const { calls, full, clock, random, log } = options;
  let saidMs = clock.monotonic();
  for (let failures = 0; ; ) {
    try {
      const rev = await writeMany(options);
      failures = 0;
      if (clock.monotonic() - saidMs > logEveryMs) {
        saidMs = clock.monotonic();
        log.info('Leading the revisions of etcd on', { rev: `${rev}`, target: `${target}` });
      }
      if (rev < target) continue;
      await calls.compact(rev);
      return rev;
    } catch (error) {
      if (failureOf(error) === 'full') full();
      log.warn('Cannot lead the revisions of etcd on, will try again', { reason: messageOf(error) });
      await clock.sleep(backoffMs(++failures, retry, random), calls.closed);
    }
  }
}

async function writeMany({ calls, key }: RenumberOptions): Promise<Rev> {
  calls.closed.throwIfAborted();
  const put = () => calls.etcd.kv.put({ key, value: Buffer.alloc(0) }, deadline(callTimeoutMs));
  const answers = await Promise.all(Array.from({ length: writesAtOnce }, put));
  let newest = 0n;
  for (const { header } of answers) if (BigInt(header.revision) > newest) newest = BigInt(header.revision);
  return newest;
}
