/**
 * Under which id the executor of a host is known to Mesos. It is the same for all hosts, until a master counts an executor that its agent
 * does not have: the message of an executor's end is sent once and may be lost, also where the master takes the agent back at that moment
 * (src/slave/slave.cpp, Slave::executorTerminated; src/master/master.cpp, Master::exitedExecutor). Then the master tells the agent to start
 * none, and every launch is dropped until the agent registers anew. Under another id it is one that Mesos has yet to start.
 */
export class HostExecutor {
  readonly #base: string;
  /** Ids of executors that the agent was told to use and does not have. */
  readonly #missing = new Set<string>();
  /** The tasks that were sent last, unless the executor was heard since. */
  #unheard: readonly string[] = [];
  #id: string;
  #isKnown = false;

  constructor(base: string) {
    this.#base = base;
    this.#id = base;
  }

  /** Of the executor that tasks come with. */
  get id(): string {
    return this.#id;
  }

  /** Mesos says that it runs: its share is already taken. */
  get isKnown(): boolean {
    return this.#isKnown;
  }

  /** `listed`: the framework's executors by the newest offer of the agent. */
  offered(listed: readonly string[]): void {
    // One that the master does not count is started when a task comes with it.
    for (const id of this.#missing) if (!listed.includes(id)) this.#missing.delete(id);
    const generations = listed.map((id) => this.#generationOf(id)).filter((generation) => generation > 0);
    // The newest: one that is older and still listed was given up.
    const there = Math.max(0, ...generations.filter((generation) => !this.#missing.has(this.#idOf(generation))));
    const id = this.#idOf(there > 0 ? there : Math.max(0, ...generations) + 1);
    if (id !== this.#id) this.#unheard = [];
    this.#id = id;
    this.#isKnown = there > 0;
  }

  /** These tasks are about to go there: what was said of earlier ones is old. */
  sent(taskIds: readonly string[]): void {
    this.#unheard = taskIds;
    this.#missing.delete(this.#id);
  }

  /**
   * The agent has no executor for this task. Says nothing of an earlier task than the last, which may have started one. The next offer tells
   * whether the master knows it too.
   */
  missedBy(taskId: string): void {
    if (this.#unheard.includes(taskId)) this.#missing.add(this.#id);
  }

  heard(id: string): void {
    this.#missing.delete(id);
    if (this.#id === id) this.#unheard = [];
  }

  #idOf(generation: number): string {
    return generation === 1 ? this.#base : `${this.#base}-${generation}`;
  }

  /** 0: of another configuration. */
  #generationOf(id: string): number {
    if (id === this.#base) return 1;
    const generation = id.startsWith(`${this.#base}-`) ? Number(id.slice(this.#base.length + 1)) : 0;
    return Number.isInteger(generation) && generation > 1 ? generation : 0;
  }
}
