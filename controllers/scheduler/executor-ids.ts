/**
 * Under which id the executor of a host is known to Mesos. It is the same for all hosts, until a master counts an executor that its agent
 * does not have: the message of an executor's end is sent once and may be lost, also where the master takes the agent back at that moment
 * (src/slave/slave.cpp, Slave::executorTerminated; src/master/master.cpp, Master::exitedExecutor). Then the master tells the agent to start
 * none, and every launch is dropped until the agent registers anew. Under another id it is one that Mesos has yet to start.
 */
export interface ExecutorId {
  readonly id: string;
  /** Mesos says that it runs: its share is already taken. */
  readonly isKnown: boolean;
}

/** `listed`: the framework's executors by the newest offer. `missing`: those that the agent does not have. */
export function executorIdOn(base: string, listed: readonly string[], missing: ReadonlySet<string>): ExecutorId {
  const generations = listed.map((id) => generationOf(base, id)).filter((generation) => generation > 0);
  const idOf = (generation: number): string => (generation === 1 ? base : `${base}-${generation}`);
  const there = generations.filter((generation) => !missing.has(idOf(generation)));
  // The newest: one that is older and still listed was given up.
  if (there.length > 0) return { id: idOf(Math.max(...there)), isKnown: true };
  return { id: idOf(Math.max(0, ...generations) + 1), isKnown: false };
}

/** 0: of another configuration. */
function generationOf(base: string, id: string): number {
  if (id === base) return 1;
  const generation = id.startsWith(`${base}-`) ? Number(id.slice(base.length + 1)) : 0;
  return Number.isInteger(generation) && generation > 1 ? generation : 0;
}
