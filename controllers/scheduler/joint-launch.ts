/**
 * Machines on several hosts that are launched together or not at all. Mesos has no transaction over several agents; so every intent is stored
 * first, then all hosts are looked at once more, and only when every one of them still offers what it did is the first ACCEPT sent.
 * Where one does not, nothing was sent, and that is proof: all of them wait again.
 */
import type { GangLaunch } from './attempt.ts';
import { fits, noRoom, plus } from './room.ts';
import { askOf } from './tasks.ts';
import type { World } from './world.ts';

export class JointLaunch {
  readonly launch: GangLaunch;
  readonly #isOffered: () => boolean;
  readonly #decision = Promise.withResolvers<boolean>();
  #missing: number;
  #areStored = true;

  constructor(launch: GangLaunch, isOffered: () => boolean) {
    this.launch = launch;
    this.#missing = launch.machines;
    this.#isOffered = isOffered;
  }

  /** To be called once for each machine, when its intent is stored or cannot be. */
  stored(isStored: boolean): void {
    this.#areStored &&= isStored;
    this.#missing--;
    if (this.#missing === 0) this.#decision.resolve(this.#areStored && this.#isOffered());
  }

  /** Whether they are launched; known when the last intent is stored. */
  get decided(): Promise<boolean> {
    return this.#decision.promise;
  }
}

/** `planned`: host -> keys of all machines that go there in this round, whichever they belong to. By key of the machine. */
export function jointLaunches(
  together: readonly (readonly string[])[],
  planned: ReadonlyMap<string, readonly string[]>,
  { ledger, machines, random }: World,
): ReadonlyMap<string, JointLaunch> {
  const isOfferedOn = (hostname: string) => {
    const asks = planned.get(hostname)!.flatMap((key) => machines.get(key) ?? []);
    const offered = ledger.offeredOn(hostname);
    return offered !== undefined && fits(asks.map(askOf).reduce(plus, noRoom), offered);
  };
  const joint = new Map<string, JointLaunch>();
  for (const keys of together) {
    const own = new Set(keys);
    const hosts = [...planned].filter(([, there]) => there.some((key) => own.has(key))).map(([host]) => host);
    const launch = { launch: random.uuid(), machines: keys.length };
    const one = new JointLaunch(launch, () => hosts.every(isOfferedOn));
    for (const key of keys) joint.set(key, one);
  }
  return joint;
}
