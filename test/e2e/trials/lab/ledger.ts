/**
 * How often each machine was started, beside how often the trial gave a reason for it. Pure: told of what was seen, it says which promise
 * was broken.
 */
import type { Page } from './eye.ts';

/** Of the guest's own disk and memory. */
interface Guest {
  readonly boots: number;
  readonly boot: string;
}

interface Account {
  /** Lives that were seen: of its QEMU, and by the counter on its disk. */
  lives: number;
  boots: number;
  /** So many it may have had. */
  livesAllowed: number;
  bootsAllowed: number;
  disturbed: number;
}

export class Ledger {
  readonly #accounts = new Map<string, Account>();
  readonly #qemus = new Set<string>();
  readonly #guests = new Map<string, Guest>();
  readonly #past = new Map<string, Set<string>>();
  /** Sentences about machines that ran in two places at once. */
  readonly doubled: string[] = [];
  /** Sentences about machines that were started again although nothing had happened to them. */
  readonly restarted: string[] = [];

  /** Machines that were seen. */
  get seen(): number {
    return this.#guests.size;
  }

  /** The trial takes its life, or asks for its restart: it may be started once more. */
  disturb(uid: string): void {
    const account = this.#account(uid);
    account.livesAllowed += 1;
    account.bootsAllowed += 1;
    account.disturbed += 1;
  }

  /** Its QEMU may be just being started by what is killed now: then that one never runs, and another is started. Its disk counts no boot more. */
  interrupt(uid: string): void {
    this.#account(uid).livesAllowed += 1;
  }

  /** How often it was disturbed. */
  disturbances(uid: string): number {
    return this.#accounts.get(uid)?.disturbed ?? 0;
  }

  /** All is well and nothing is under way: what was allowed and did not come to pass is allowed no more. */
  settle(): void {
    for (const account of this.#accounts.values()) {
      account.livesAllowed = Math.max(1, account.lives);
      account.bootsAllowed = Math.max(1, account.boots);
    }
  }

  /** A QEMU of it runs; `process` names it for good. */
  sawQemu(uid: string, host: string, process: string): void {
    if (this.#qemus.has(process)) return;
    this.#qemus.add(process);
    const account = this.#account(uid);
    account.lives += 1;
    if (account.lives <= account.livesAllowed) return;
    this.restarted.push(
      `${uid} has its QEMU number ${account.lives} on ${host}, and ${account.livesAllowed} had a reason`,
    );
    account.livesAllowed = account.lives;
  }

  sawTwice(uid: string, hosts: readonly string[], by: string): void {
    this.doubled.push(`${uid} runs on ${hosts.join(' and ')}, says ${by}`);
  }

  sawPage({ instance: uid, boots, boot }: Page): void {
    const last = this.#guests.get(uid);
    if (last?.boot === boot && last.boots === boots) return;
    const account = this.#account(uid);
    const past = this.#past.get(uid) ?? new Set();
    if (past.has(boot)) this.doubled.push(`${uid} answers as boot ${boot} again, after boot ${last!.boot}`);
    if (last && boots <= last.boots)
      this.doubled.push(`The disk of ${uid} counted ${last.boots} boots, and ${boots} at the next one`);
    this.#past.set(uid, past.add(boot));
    this.#guests.set(uid, { boots, boot });
    account.boots = Math.max(account.boots, boots);
    if (account.boots <= account.bootsAllowed) return;
    this.restarted.push(`The disk of ${uid} counts ${boots} boots, and ${account.bootsAllowed} had a reason`);
    account.bootsAllowed = account.boots;
  }

  #account(uid: string): Account {
    const known = this.#accounts.get(uid);
    if (known) return known;
    const account = { lives: 0, boots: 0, livesAllowed: 1, bootsAllowed: 1, disturbed: 0 };
    this.#accounts.set(uid, account);
    return account;
  }
}
