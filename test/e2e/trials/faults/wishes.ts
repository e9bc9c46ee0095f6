/** What is wanted, as the API server says it: every machine that ever was, and when somebody asked for its deletion. */
import { VirtualMachine } from '#lib/api/generated/index.ts';
import type { Client } from '#lib/client/client.ts';
import { Informer } from '#lib/client/informer.ts';
import { systemClock } from '#lib/std/clock.ts';
import { silentLog } from '#lib/std/log.ts';
import { systemRandom } from '#lib/std/random.ts';

export interface Wish {
  readonly name: string;
  /** Wall clock, in whole seconds. */
  readonly deletionMs?: number;
  readonly ip?: string;
}

export interface Wishes extends AsyncDisposable {
  readonly byUid: ReadonlyMap<string, Wish>;
}

export async function followWishes(client: Client): Promise<Wishes> {
  const byUid = new Map<string, Wish>();
  const informer = new Informer(VirtualMachine, { client, clock: systemClock, random: systemRandom, log: silentLog });
  informer.onChange(({ object: { metadata, status } }) => {
    const { uid, name, deletionTimestamp } = metadata;
    byUid.set(uid, {
      name,
      ...(deletionTimestamp ? { deletionMs: Date.parse(deletionTimestamp) } : {}),
      ...(status?.ip ? { ip: status.ip } : {}),
    });
  });
  const stop = new AbortController();
  const running = informer.run(stop.signal);
  await informer.synced();
  return {
    byUid,
    async [Symbol.asyncDispose]() {
      stop.abort();
      await running;
    },
  };
}
