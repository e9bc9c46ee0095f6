/**
 * Nothing tells of an executor that falls silent: it has to be looked for. Once for each host with machines, instead of once for each
 * machine, so that what an idle cluster costs does not grow with its machines.
 */
import { isSilent } from './executor-book.ts';
import type { World } from './world.ts';

export class Silences {
  readonly #world: World;
  readonly #silent = new Set<string>();

  constructor(world: World) {
    this.#world = world;
  }

  /** Hosts with machines whose executor has fallen silent or is heard again since the last look. To be called every second or so. */
  look(): readonly string[] {
    const { clock, executors, ledger, startedMs } = this.#world;
    const nowMs = clock.monotonic();
    const news: string[] = [];
    for (const hostname of ledger.hostsInUse()) {
      const silent = isSilent(executors.get(hostname), nowMs, startedMs);
      if (silent === this.#silent.has(hostname)) continue;
      if (silent) this.#silent.add(hostname);
      else this.#silent.delete(hostname);
      news.push(hostname);
    }
    return news;
  }
}
