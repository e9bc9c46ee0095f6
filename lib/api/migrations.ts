/** Which machines can be moved to another host as they run, in the words in which every controller says it. Pure. */
import type { VirtualMachine } from './generated/virtualmachine.ts';

/** Tries of one attempt that came to nothing before a drain stops the machine instead. */
export const migrationTries = 3;

/** Why this machine cannot be moved as it is now; undefined if nothing known stands against it. A sentence without its end. */
export function whyNotMovable({ metadata, status }: VirtualMachine): string | undefined {
  const machine = `Machine ${metadata.name}`;
  const { phase, volumes = [] } = status ?? {};
  if (status?.attempt === undefined || (phase !== 'Running' && phase !== 'Paused'))
    return `${machine} does not run (${phase ?? 'Pending'}): only a machine that is running or paused can be moved. A stopped one gets its host when it starts`;
  if (volumes.length > 0) {
    const names = volumes.map(({ name }) => name).join(', ');
    return `${machine} has volumes (${names}), and one with volumes cannot be moved as it runs: stop it, and start it where it is to be`;
  }
  return undefined;
}

/** Why nothing new is begun; undefined if none is going on. */
export function whyMovedAlready({ metadata, status }: VirtualMachine): string | undefined {
  const { migration } = status ?? {};
  return migration && `Machine ${metadata.name} is being moved to host ${migration.host} already`;
}
