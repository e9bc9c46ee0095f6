/** Where a machine goes, or why nowhere: pure, over the ledger. */
import { type LabelSelector, matchesSelector } from '#lib/api/selectors.ts';
import { Changes } from './changes.ts';
import { HostIndex } from './host-index.ts';
import type { HostView, Ledger, Readiness } from './ledger.ts';
import { guestSizeOf } from './overhead.ts';
import type { Room } from './room.ts';

export interface PlacementAsk {
  readonly room: Room;
  readonly selector?: LabelSelector | undefined;
}

/** `reason` is one of condition Scheduled's words. */
export interface Refusal {
  readonly reason: 'NoOffers' | 'InsufficientCores' | 'InsufficientMemory' | 'NoMatchingHost' | 'HostNotInventoried';
  readonly message: string;
}

/** Asks that read the same get the same answer, so it is worked out once. */
export function classOf(ask: PlacementAsk): string {
  return `${ask.room.cpu}/${ask.room.mem}/${selectorKey(ask.selector)}`;
}

function selectorKey(selector: LabelSelector | undefined): string {
  return JSON.stringify(selector ?? {});
}

/** Selectors remembered at once. More than people use; a bound against a flood of generated ones. */
const maxIndexes = 256;
/** Changes kept for indexes that are behind: for those further behind, reading all hosts anew is cheaper. */
const changesPerHost = 2;

interface Candidates {
  readonly selector: LabelSelector | undefined;
  index: HostIndex;
  /** Place in the changes up to which the index is up to date; undefined: it is empty still. */
  upTo: number | undefined;
}

export class Placement {
  readonly #ledger: Ledger;
  readonly #changes = new Changes();
  /** The one that was used last is the last. */
  readonly #candidates = new Map<string, Candidates>();
  readonly #refusals = new Map<string, Refusal>();
  #refusalsVersion = -1;

  constructor(ledger: Ledger) {
    this.#ledger = ledger;
  }

  /** To be called with every host that the ledger says has changed. */
  hostChanged(hostname: string): void {
    this.#changes.add(hostname, changesPerHost * this.#ledger.size + 1000);
  }

  /** The host, or undefined if there is none now. Takes nothing: occupy it in the ledger before asking for the next. */
  choose(ask: PlacementAsk): string | undefined {
    return this.#index(ask.selector).bestFit(ask.room)?.host.hostname;
  }

  /** Why there is no host, counted over all of them. */
  explain(ask: PlacementAsk): Refusal {
    if (this.#refusalsVersion !== this.#ledger.version) {
      this.#refusals.clear();
      this.#refusalsVersion = this.#ledger.version;
    }
    const key = classOf(ask);
    const known = this.#refusals.get(key) ?? countRefusals(this.#ledger.views(), ask);
    this.#refusals.set(key, known);
    return known;
  }

  #index(selector: LabelSelector | undefined): HostIndex {
    const key = selectorKey(selector);
    const candidates = this.#candidates.get(key) ?? { selector, index: new HostIndex(), upTo: undefined };
    this.#candidates.delete(key);
    if (this.#candidates.size >= maxIndexes) this.#candidates.delete(this.#candidates.keys().next().value!);
    this.#candidates.set(key, candidates);
    this.#bringUpToDate(candidates);
    return candidates.index;
  }

  #bringUpToDate(candidates: Candidates): void {
    const changed = candidates.upTo === undefined ? undefined : this.#changes.since(candidates.upTo);
    candidates.upTo = this.#changes.end;
    if (changed) {
      for (const hostname of changed) this.#put(candidates, hostname, this.#ledger.view(hostname));
      return;
    }
    candidates.index = new HostIndex();
    for (const view of this.#ledger.views()) this.#put(candidates, view.host.hostname, view);
  }

  #put({ index, selector }: Candidates, hostname: string, view: HostView | undefined): void {
    index.set(hostname, view && matchesSelector(selector, view.host.labels) ? view : undefined);
  }
}

type Cause = Exclude<Readiness, 'Ready'> | 'Selector' | 'Cores' | 'Memory' | 'Offer';

/** The first thing that stands against a host, in this order, or undefined. */
function causeAgainst({ host, free, offered }: HostView, { room, selector }: PlacementAsk): Cause | undefined {
  if (!matchesSelector(selector, host.labels)) return 'Selector';
  if (host.readiness !== 'Ready') return host.readiness;
  if (free.cpu < room.cpu) return 'Cores';
  if (free.mem < room.mem) return 'Memory';
  return offered === undefined || offered.cpu < room.cpu || offered.mem < room.mem ? 'Offer' : undefined;
}

/** "5 hosts: 3 short of cores (largest free 8), 2 cordoned". */
export function countRefusals(views: readonly HostView[], ask: PlacementAsk): Refusal {
  const counts = new Map<Cause, number>();
  let largestCores = 0;
  let largestMiB = 0;
  for (const view of views) {
    const cause = causeAgainst(view, ask);
    if (cause === undefined) continue;
    counts.set(cause, (counts.get(cause) ?? 0) + 1);
    const guest = guestSizeOf(view.free);
    if (cause === 'Cores') largestCores = Math.max(largestCores, guest.cores);
    if (cause === 'Memory') largestMiB = Math.max(largestMiB, guest.memoryMiB);
  }
  const texts: Readonly<Record<Cause, string>> = {
    Offer: 'with room that Mesos has not offered yet',
    Memory: `short of memory (largest free ${largestMiB} MiB)`,
    Cores: `short of cores (largest free ${largestCores})`,
    NotInventoried: 'not inventoried',
    Suspect: 'suspect',
    Unreachable: 'unreachable',
    Cordoned: 'cordoned',
    Selector: 'without the labels asked for',
  };
  const order = Object.keys(texts) as Cause[];
  const parts = order.filter((cause) => counts.has(cause)).map((cause) => `${counts.get(cause)} ${texts[cause]}`);
  const noun = views.length === 1 ? 'host' : 'hosts';
  const message = views.length === 0 ? 'the cluster has no hosts' : `${views.length} ${noun}: ${parts.join(', ')}`;
  return { reason: reasonOf(order.find((cause) => counts.has(cause))), message };
}

function reasonOf(cause: Cause | undefined): Refusal['reason'] {
  if (cause === 'Memory') return 'InsufficientMemory';
  if (cause === 'Cores') return 'InsufficientCores';
  if (cause === 'NotInventoried') return 'HostNotInventoried';
  return cause === 'Offer' ? 'NoOffers' : 'NoMatchingHost';
}
