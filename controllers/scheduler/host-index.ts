/**
 * Hosts by whole free cores, and within as many cores by memory in steps of half a doubling, so that the best fit is found by looking at a
 * few hosts and not at all of them.
 */
import type { HostView } from './ledger.ts';
import { fits, type Room } from './room.ts';

/** Hosts looked at in one cell before the best so far is taken: keeps the cost per machine flat where all hosts are alike. */
const lookAt = 16;
/** Hosts that turn out too small before a cell is left for later, when all other cells have been looked at. */
const patience = 64;
/** The memory steps fit into the bits of one number. The first holds all below 256 MiB, the last all above 8 TiB. */
const lastStep = 31;
const firstStepMem = 256_000;

type Cell = Map<string, HostView>;

interface Row {
  /** Bit n: cell n holds a host. */
  filled: number;
  readonly cells: (Cell | undefined)[];
}

export type Accept = (view: HostView) => boolean;

function stepOf(mem: number): number {
  if (mem <= firstStepMem) return 0;
  return Math.min(lastStep, Math.floor(2 * Math.log2(mem / firstStepMem)));
}

export class HostIndex {
  /** Index: whole free cores. */
  readonly #rows: Row[] = [];
  readonly #places = new Map<string, { readonly cores: number; readonly step: number }>();

  /** Puts a host where it belongs now: nowhere, if nothing may start there or no offer is held. */
  set(hostname: string, view: HostView | undefined): void {
    this.#remove(hostname);
    if (view?.host.readiness !== 'Ready' || view.offered === undefined || view.offered.cpu < 0) return;
    const cores = Math.floor(view.offered.cpu / 1000);
    const step = stepOf(view.offered.mem);
    while (this.#rows.length <= cores) this.#rows.push({ filled: 0, cells: [] });
    const row = this.#rows[cores]!;
    row.cells[step] ??= new Map();
    row.cells[step].set(hostname, view);
    row.filled |= 1 << step;
    this.#places.set(hostname, { cores, step });
  }

  /**
   * Best fit: of the hosts with the fewest free cores that suffice, one that is left with little memory. A machine never takes the cores
   * of a large hole when a small one would do, and leaves little memory stranded beside no cores. `accept` has the last word on a host.
   */
  bestFit(ask: Room, accept?: Accept): HostView | undefined {
    return this.#search(ask, accept, patience) ?? this.#search(ask, accept, Number.POSITIVE_INFINITY);
  }

  #search(ask: Room, accept: Accept | undefined, tooSmallMax: number): HostView | undefined {
    const leastCores = Math.floor(ask.cpu / 1000);
    const leastStep = stepOf(ask.mem);
    for (let cores = leastCores; cores < this.#rows.length; cores++) {
      const { filled, cells } = this.#rows[cores]!;
      for (let left = filled & (-1 << leastStep); left !== 0; left &= left - 1) {
        const step = 31 - Math.clz32(left & -left);
        const found = leastMemoryLeft(cells[step]!, ask, accept, tooSmallMax);
        if (found !== undefined) return found;
      }
    }
    return undefined;
  }

  #remove(hostname: string): void {
    const place = this.#places.get(hostname);
    if (!place) return;
    const row = this.#rows[place.cores]!;
    const cell = row.cells[place.step]!;
    cell.delete(hostname);
    if (cell.size === 0) row.filled &= ~(1 << place.step);
    this.#places.delete(hostname);
  }
}

function leastMemoryLeft(cell: Cell, ask: Room, accept: Accept | undefined, tooSmallMax: number): HostView | undefined {
  let best: HostView | undefined;
  let seen = 0;
  let tooSmall = 0;
  for (const view of cell.values()) {
    if (!fits(ask, view.offered!)) {
      if (++tooSmall > tooSmallMax) break;
      continue;
    }
    if (accept && !accept(view)) continue;
    if (!best || view.offered!.mem < best.offered!.mem) best = view;
    if (++seen >= lookAt) break;
  }
  return best;
}
