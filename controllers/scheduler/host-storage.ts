/** Whether machines can start on what their disks stand on, as a Host says it. Pure. */
import type { ConditionDraft } from '#lib/api/conditions.ts';
import type { Heartbeat } from '#lib/api/messages.ts';

/** Of what an executor says of its host. */
type Said = Pick<Heartbeat, 'storage' | 'volumes'>;

/** What keeps every new machine away; undefined: nothing. Executors before 0.6 do not tell. */
export function storageFault(said: Said | undefined): string | undefined {
  const { storage } = said ?? {};
  return storage && !storage.usable ? storage.message : undefined;
}

/** Condition StorageReady; `said` undefined if no executor has told yet. A volume keeps only those machines away that have it. */
export function storageReady(said: Said | undefined): ConditionDraft {
  const type = 'StorageReady';
  if (!said) return { type, status: 'Unknown', reason: 'NothingOfOurs', message: 'No executor speaks there' };
  const { storage, volumes } = said;
  if (storage && !storage.usable) return { type, status: 'False', reason: storage.reason, message: storage.message };
  const bad = (volumes?.mounts ?? []).filter(({ usable }) => !usable);
  if (bad.length === 0) return { type, status: 'True', reason: 'Usable', message: '' };
  const words = bad.map(({ name, reason, message }) => `${name} (${reason}): ${message}`);
  const message = `Machines with these Gluster volumes cannot start there: ${words.join('; ')}`;
  return { type, status: 'False', reason: 'VolumesUnusable', message: message.slice(0, 2048) };
}
