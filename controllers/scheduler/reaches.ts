/**
 * What each host has told that machines on it may use. Kept beside the ledger, since few machines ask: what changes here moves nothing in the
 * plans for the others.
 */
import { isDeepStrictEqual } from 'node:util';
import { Changes } from './changes.ts';
import type { Reach } from './needs.ts';

export class Reaches {
  readonly #reaches = new Map<string, Reach>();
  readonly #changes = new Changes();

  get(hostname: string): Reach | undefined {
    return this.#reaches.get(hostname);
  }

  /** undefined: nobody speaks for the host now. False if that is known already. */
  set(hostname: string, reach: Reach | undefined): boolean {
    if (isDeepStrictEqual(this.#reaches.get(hostname), reach)) return false;
    if (reach) this.#reaches.set(hostname, reach);
    else this.#reaches.delete(hostname);
    this.#changes.add(hostname, 2 * this.#reaches.size + 1000);
    return true;
  }

  /** Place in the changes of who has read them all. */
  get end(): number {
    return this.#changes.end;
  }

  /** Hosts of which more or less is known since that place; undefined: look at all. */
  since(place: number): readonly string[] | undefined {
    return this.#changes.since(place);
  }
}
