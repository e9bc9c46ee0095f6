/** Which guests' agents answer, and what they say: asked of every machine that runs, again and again. Only a change is told. */
import type { AgentReport } from '#lib/api/messages.ts';
import type { Clock } from '#lib/std/clock.ts';
import { messageOf } from '#lib/std/errors.ts';
import type { Log } from '#lib/std/log.ts';
import { sameJson } from '#lib/std/same-json.ts';
import { type Hypervisor, MachineError } from '../hypervisor.ts';
import type { Freezes } from '../snapshots/freezes.ts';
import { asking, describeGuest } from './guest-report.ts';

const pingMs = 5_000;
/** What else it says is asked for so often: addresses come and go. */
const describeEveryMs = 60_000;
/** A guest that keeps its agent from answering costs the others nothing. */
const atOnce = 8;

export interface AgentsDeps {
  readonly hypervisor: Pick<Hypervisor, 'agent'>;
  /** Guests that are frozen are not asked, and what they were asked before counts for nothing: they answer little, and late. */
  readonly freezes: Pick<Freezes, 'watch'>;
  /** uids of the machines that run. */
  running(): readonly string[];
  /** A report is another one now. */
  changed(uid: string): void;
  readonly everyMs: number;
  readonly clock: Clock;
  readonly log: Log;
}

interface Known {
  readonly report: AgentReport;
  readonly describedMs: number;
}

export class GuestAgents implements AsyncDisposable {
  readonly #deps: AgentsDeps;
  readonly #known = new Map<string, Known>();
  readonly #stop = new AbortController();
  readonly #loop: Promise<void>;

  /** Begins at once, until disposed. */
  constructor(deps: AgentsDeps) {
    this.#deps = deps;
    this.#loop = this.#run();
  }

  /** undefined for a machine that does not run, or that was not asked yet. */
  reportOf(uid: string): AgentReport | undefined {
    return this.#known.get(uid)?.report;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#loop;
  }

  async #run(): Promise<void> {
    const { clock, everyMs, running } = this.#deps;
    while (!this.#stop.signal.aborted) {
      const uids = [...running()];
      for (const uid of this.#known.keys()) if (!uids.includes(uid)) this.#known.delete(uid);
      const worker = async () => {
        for (let uid = uids.pop(); uid !== undefined && !this.#stop.signal.aborted; uid = uids.pop())
          await this.#ask(uid);
      };
      await Promise.all(Array.from({ length: atOnce }, worker));
      await clock.sleep(everyMs, this.#stop.signal).catch(() => undefined); // disposed: the loop sees it
    }
  }

  async #ask(uid: string): Promise<void> {
    const { clock, changed, freezes } = this.#deps;
    const before = this.#known.get(uid);
    using freeze = freezes.watch(uid);
    if (freeze.isFrozen) return;
    const report = await this.#look(uid, before);
    if (report === undefined || freeze.wasFrozen || !this.#deps.running().includes(uid)) return;
    // That there is none is no news of a machine that has just come up: the next heartbeat is soon enough.
    const isNew = before === undefined ? report.connected : !sameJson(report, before.report);
    const described = report !== before?.report;
    this.#known.set(uid, { report, describedMs: described ? clock.monotonic() : before.describedMs });
    if (isNew) changed(uid);
  }

  /** The report from before if there is no need to ask more than whether it is there; undefined if the host did not answer. */
  async #look(uid: string, before: Known | undefined): Promise<AgentReport | undefined> {
    const { hypervisor, clock, log } = this.#deps;
    const ask = asking(hypervisor, uid, pingMs);
    try {
      await ask('guest-ping');
      const isFresh = before?.report.connected && clock.monotonic() - before.describedMs < describeEveryMs;
      return isFresh ? before.report : await describeGuest(ask);
    } catch (error) {
      if (error instanceof MachineError)
        return before?.report.connected === false ? before.report : { connected: false };
      log.warn('Cannot ask the agent of a guest', { uid, reason: messageOf(error) });
      return undefined;
    }
  }
}
