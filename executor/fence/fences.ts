/**
 * spec.disconnect.selfFenceAfter on its host. Each machine that has it has a time until which it may run; an acknowledgement of the cluster
 * server moves that on, counted from when the acknowledged heartbeat was *sent*, and never once it has passed: whoever counts from when it
 * heard that heartbeat, which is later, finds the machine dead. When the time has passed, the attempt is over for good. The guard cuts the
 * power, and so does this worker, whichever comes first.
 */
import type { MachineReport } from '#lib/api/messages.ts';
import type { Clock } from '#lib/std/clock.ts';
import { messageOf } from '#lib/std/errors.ts';
import type { Log } from '#lib/std/log.ts';
import type { Guard, Watch } from './guard.ts';

const everyMs = 1000;
/** Heartbeats that wait for their acknowledgement; of those before nobody needs to know. */
const sentMax = 1000;
/**
 * A machine is not started with less time than this left, nor with less than half of what it has: an order to start that is with libvirt
 * cannot be taken back.
 */
const startMs = 30_000;
/** For a cut that fails at first: it is tried again each time that is looked. */
const cutMs = 20_000;

export interface FencesDeps {
  readonly guard: Guard;
  readonly clock: Clock;
  readonly log: Log;
  /** What a heartbeat says of a machine has changed. */
  changed(): void;
  /** The time of this machine has passed. */
  over(uid: string): void;
}

interface Entry extends Watch {
  /** This worker has the machine: what it says of it is what is acknowledged. The time of every other one runs out. */
  readonly isOurs: boolean;
  /** Of the first table that has it. */
  readonly number: number;
}

export class Fences implements AsyncDisposable {
  readonly #deps: FencesDeps;
  readonly #entries = new Map<string, Entry>();
  /** When each heartbeat was sent. */
  readonly #sent = new Map<number, number>();
  #number: number;
  /** Of the table that is watched over. */
  #watched: number | undefined;
  #timer: Disposable | undefined;
  #looking: Promise<void> | undefined;
  #closed = false;

  constructor(deps: FencesDeps) {
    this.#deps = deps;
    const table = deps.guard.read();
    this.#number = table?.number ?? 0;
    for (const watch of table?.watches ?? [])
      this.#entries.set(watch.uid, { ...watch, number: this.#number, isOurs: false });
    if (this.#entries.size > 0) this.#lookSoon(0);
  }

  /** Ends the looking; what was set stands. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    this.#timer?.[Symbol.dispose]();
    await this.#looking;
  }

  /** A machine was taken on, before anything of it is there, or taken over. */
  begin(uid: string, attempt: number, afterMs: number | undefined): void {
    if (afterMs === undefined) this.end(uid, attempt);
    else this.#set({ uid, attempt, afterMs, deadlineMs: this.#deps.guard.now() + afterMs });
  }

  /** A machine of the journal. One of which the table knows nothing has lost its time: nobody knows whether it has passed. */
  resume(uid: string, attempt: number, afterMs: number | undefined): void {
    if (afterMs === undefined) return;
    const entry = this.#entries.get(uid);
    if (entry?.attempt === attempt) this.#entries.set(uid, { ...entry, isOurs: true });
    else this.#set({ uid, attempt, afterMs, deadlineMs: 0 });
  }

  /** Nothing of it is there any more; or another attempt has it. */
  end(uid: string, attempt: number): void {
    const entry = this.#entries.get(uid);
    if (!entry || entry.attempt > attempt) return;
    this.#entries.delete(uid);
    this.#write();
  }

  /** Of what is not here any more, as the host itself shows. */
  keep(isHere: (uid: string) => boolean): void {
    for (const { uid, attempt } of [...this.#entries.values()]) if (!isHere(uid)) this.end(uid, attempt);
  }

  /** To be called before anything is gathered of what the heartbeat will say. */
  now(): number {
    return this.#deps.guard.now();
  }

  sending(sequence: number, sentMs: number): void {
    if (this.#entries.size === 0) return void this.#sent.clear();
    this.#sent.set(sequence, sentMs);
    if (this.#sent.size > sentMax) this.#sent.delete(this.#sent.keys().next().value!);
  }

  acknowledged(sequence: number): void {
    const sentMs = this.#sent.get(sequence);
    if (sentMs === undefined) return;
    for (const known of [...this.#sent.keys()]) if (known <= sequence) this.#sent.delete(known);
    let moved = false;
    for (const entry of this.#entries.values()) {
      const deadlineMs = sentMs + entry.afterMs;
      // What has passed has passed: by the time of this very moment, not of when the acknowledgement was on its way.
      if (!entry.isOurs || deadlineMs <= entry.deadlineMs || this.#isOver(entry)) continue;
      this.#entries.set(entry.uid, { ...entry, deadlineMs });
      moved = true;
    }
    if (moved) this.#write();
  }

  isOver(uid: string, attempt: number): boolean {
    const entry = this.#entries.get(uid);
    return entry?.attempt === attempt && this.#isOver(entry);
  }

  /** Throws if too little of its time is left to start it. */
  requireTime(uid: string): void {
    const entry = this.#entries.get(uid);
    if (!entry) return;
    const leftMs = entry.deadlineMs - this.now();
    if (leftMs < Math.min(startMs, entry.afterMs / 2))
      throw new Error(
        'The cluster server has not been heard for so long that the machine may soon have to be off (selfFenceAfter)',
      );
  }

  /** When this worker may end: what runs has no time, or is watched over by the guard, or was cut off. Also if `signal` aborts. */
  async relieved(signal: AbortSignal): Promise<void> {
    const needsUs = (entry: Entry) => !this.#isArmed(entry) && this.now() < entry.deadlineMs + cutMs;
    while (!signal.aborted && [...this.#entries.values()].some(needsUs)) await this.#deps.clock.sleep(everyMs);
  }

  reportOf(uid: string, attempt: number): MachineReport['fence'] {
    const entry = this.#entries.get(uid);
    return entry?.attempt === attempt ? { afterMs: entry.afterMs, armed: this.#isArmed(entry) } : undefined;
  }

  #isArmed({ number }: Entry): boolean {
    return this.#watched !== undefined && this.#watched >= number;
  }

  #isOver({ deadlineMs }: Entry): boolean {
    return this.now() >= deadlineMs;
  }

  #set(watch: Watch): void {
    this.#entries.set(watch.uid, { ...watch, number: this.#number + 1, isOurs: true });
    this.#write();
    this.#lookSoon(0);
  }

  /** What cannot be written is not moved on: the guard then cuts early, never late. */
  #write(): void {
    this.#number += 1;
    const watches = [...this.#entries.values()].map(({ number: _, isOurs: __, ...watch }) => watch);
    try {
      this.#deps.guard.write({ number: this.#number, watches });
    } catch (error) {
      this.#deps.log.warn('The guard was not told', { reason: messageOf(error) });
    }
  }

  #lookSoon(delayMs: number): void {
    if (this.#closed || this.#looking !== undefined) return;
    this.#timer?.[Symbol.dispose]();
    this.#timer = this.#deps.clock.timeout(() => {
      this.#looking = this.#look().finally(() => {
        this.#looking = undefined;
        if (this.#entries.size > 0) this.#lookSoon(everyMs);
      });
    }, delayMs);
  }

  async #look(): Promise<void> {
    const { guard, log, changed } = this.#deps;
    const before = this.#armed();
    try {
      this.#watched = await guard.look();
      // Written in vain, or swept away by one that had nothing to watch over.
      if (guard.read()?.number !== this.#number) this.#write();
      await this.#cutThoseOver();
    } catch (error) {
      this.#watched = undefined;
      log.warn('The guard does not answer', { reason: messageOf(error) });
    }
    if (this.#armed() !== before) changed();
  }

  async #cutThoseOver(): Promise<void> {
    const { guard, over } = this.#deps;
    for (const entry of [...this.#entries.values()].filter((each) => this.#isOver(each))) {
      await guard.cut(entry.uid);
      over(entry.uid);
    }
  }

  #armed(): string {
    return [...this.#entries.values()]
      .filter((entry) => this.#isArmed(entry))
      .map(({ uid, attempt }) => `${uid}/${attempt}`)
      .join();
  }
}
