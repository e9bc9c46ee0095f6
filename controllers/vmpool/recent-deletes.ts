/**
 * The cache hears of a delete late. Until then the machine would count as a member, and a second look, with other machines changed in
 * between, could choose a second victim for the same decrease. Kept until the cache knows, and no longer than keepMs.
 */
import type { VirtualMachine } from '#lib/api/generated/index.ts';
import type { Cache } from '#lib/client/cache.ts';
import type { Clock } from '#lib/std/clock.ts';

export interface RecentDeletes {
  add(uid: string): void;
  /** The machines, with deletionTimestamp on those whose delete was accepted. */
  marked(machines: readonly VirtualMachine[], now: string): readonly VirtualMachine[];
}

const keepMs = 30_000;

export function recentDeletes(cache: Cache<VirtualMachine>, clock: Clock): RecentDeletes {
  const untilMs = new Map<string, number>();
  const isKnown = (uid: string) => cache.byUid(uid)?.metadata.deletionTimestamp !== undefined || !cache.byUid(uid);
  return {
    add: (uid) => void untilMs.set(uid, clock.monotonic() + keepMs),
    marked(machines, now) {
      for (const [uid, until] of untilMs) if (until < clock.monotonic() || isKnown(uid)) untilMs.delete(uid);
      if (untilMs.size === 0) return machines;
      return machines.map((vm) =>
        untilMs.has(vm.metadata.uid) && !vm.metadata.deletionTimestamp
          ? { ...vm, metadata: { ...vm.metadata, deletionTimestamp: now } }
          : vm,
      );
    },
  };
}
