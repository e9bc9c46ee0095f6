/**
 * Room that machines of lower priority are making, kept for the one that it is made for (status.nominated), so that nobody else takes it piece
 * by piece. It is in the books beside those who are leaving, and ends at its deadline. Derived anew from what is stored, before each round.
 */
import type { VirtualMachine } from '#lib/api/generated/virtualmachine.ts';
import type { Clock } from '#lib/std/clock.ts';
import type { Ledger } from './ledger.ts';
import { memberOf } from './member.ts';
import { askOf } from './tasks.ts';

/** The host where room is made for it until then; undefined: none is, or its time is over. */
export function nominatedHost({ status }: VirtualMachine, nowMs: number): string | undefined {
  const { host, until } = status?.nominated ?? {};
  return until !== undefined && Date.parse(until) > nowMs ? host : undefined;
}

const holdOf = (uid: string) => `hole/${uid}`;

export class Holes {
  readonly #ledger: Ledger;
  readonly #clock: Clock;
  /** uids of machines. */
  #held: ReadonlySet<string> = new Set();

  constructor(ledger: Ledger, clock: Clock) {
    this.#ledger = ledger;
    this.#clock = clock;
  }

  /** Before each round: the machines that wait now. */
  look(waiting: readonly VirtualMachine[]): void {
    const now = waiting.filter((vm) => nominatedHost(vm, this.#clock.now()) !== undefined);
    const uids = new Set(now.map(({ metadata }) => metadata.uid));
    for (const uid of this.#held) if (!uids.has(uid)) this.#ledger.release(holdOf(uid));
    this.#held = uids;
    for (const vm of now) this.close(vm);
  }

  /** Its turn: what is kept for it is free for it. */
  open({ metadata: { uid } }: VirtualMachine): void {
    if (this.#held.has(uid)) this.#ledger.release(holdOf(uid));
  }

  /** It goes on waiting. */
  close(vm: VirtualMachine): void {
    const host = nominatedHost(vm, this.#clock.now());
    if (host !== undefined && this.#held.has(vm.metadata.uid))
      this.#ledger.occupy(holdOf(vm.metadata.uid), host, askOf(vm), memberOf(vm), 'Held');
  }
}
