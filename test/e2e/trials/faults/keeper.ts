/** Starts again what dies, as systemd would, after as long as it is told to. What runs already, as the directory of the cluster says, is its own from then on. */
import { runningProcess, startDetached } from '#cli/local/keeper.ts';
import type { Program } from '#cli/local/programs.ts';
import { systemClock } from '#lib/std/clock.ts';
import type { ProcessIdentity } from '#lib/std/process-identity.ts';

const lookEveryMs = 100;

export class Keeper implements AsyncDisposable {
  readonly #dir: string;
  readonly #downUntilMs = new Map<string, number>();
  readonly #stop = new AbortController();
  readonly #loops: Promise<unknown>;
  /** By program: how often it was started. */
  readonly starts = new Map<string, number>();

  constructor(dir: string, programs: readonly Program[]) {
    this.#dir = dir;
    this.#loops = Promise.all(programs.map((program) => this.#keep(program)));
  }

  /** Its process, if there is one now. */
  process(name: string): ProcessIdentity | undefined {
    return runningProcess(this.#dir, name);
  }

  /** If it ends within that time, it is started again only after it. With 0 it is at once. */
  leaveDown(name: string, forMs: number): void {
    this.#downUntilMs.set(name, systemClock.monotonic() + forMs);
  }

  /** Stops keeping. The programs run on. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#loops;
  }

  async #keep(program: Program): Promise<void> {
    while (!this.#stop.signal.aborted) {
      const down = systemClock.monotonic() < (this.#downUntilMs.get(program.name) ?? 0);
      if (!down && !this.process(program.name)) this.#start(program);
      await systemClock.sleep(lookEveryMs, this.#stop.signal).catch(() => undefined);
    }
  }

  #start(program: Program): void {
    if (!startDetached(this.#dir, program)) throw new Error(`Cannot start ${program.command[0]}: see ${program.log}`);
    this.starts.set(program.name, (this.starts.get(program.name) ?? 0) + 1);
  }
}
