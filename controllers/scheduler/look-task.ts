/** A task that does nothing and ends at once: Mesos starts an executor for it where there is none, and that tells what is there. */
import type { LookLaunch } from '#lib/api/launch.ts';
import { imageTaskId } from '#lib/api/names.ts';
import type { Room } from './room.ts';
import type { Work } from './tasks.ts';
import type { World } from './world.ts';

/** What it takes of its host, for a moment. */
export const lookAsk: Room = { cpu: 10, mem: 32_000 };

/** `of`: for whose sake. Its ids are its own: several hosts may be looked at for one object, and again, and Mesos wants a task id for each. */
export function lookWork(
  { installation, random }: Pick<World, 'installation' | 'random'>,
  { namespace, name }: Pick<LookLaunch, 'namespace' | 'name'>,
): Work {
  const uid = random.uuid();
  const launch: LookLaunch = {
    version: 1,
    type: 'look',
    installation,
    uid,
    namespace,
    name,
    taskId: imageTaskId(uid, 1),
  };
  return { launch, ask: lookAsk };
}
