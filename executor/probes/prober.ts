/**
 * The probes of one run of one guest. Until startup has succeeded the others wait. Readiness is told. Liveness counts once the guest has come
 * up: by its first success, or by startup's. A failure counts only if its host is found well after it, and was so after the one before: a
 * try may have begun while something was broken. What does not count breaks the row; a guest that its host keeps still is not tried at all.
 */
import type { LaunchProbe } from '#lib/api/launch.ts';
import type { ProbeReport } from '#lib/api/messages.ts';
import { messageOf } from '#lib/std/errors.ts';
import type { Unhealthy } from '../machine/state.ts';
import type { ProbedMachine, ProbesDeps } from './probes.ts';
import type { Finding } from './try-probe.ts';

/** A command that hangs is not run again beside itself, and a guest cannot make the host busy. */
const periodMsMin = 1_000;
/** What a guest says of itself may be another text each time: told so often, if nothing else is new. */
const textEveryMs = 60_000;
/**
 * A guest that had come up when this worker, or libvirt, was last there to see it may have booted anew since: it has so long to come up again
 * before its failures count.
 */
const doubtMs = 600_000;

/** What was found; true if that is enough. */
type Judge = (finding: Finding) => Promise<boolean> | boolean;

export class Prober implements AsyncDisposable {
  readonly machine: ProbedMachine;
  readonly #deps: ProbesDeps;
  readonly #stop = new AbortController();
  readonly #loop: Promise<void>;
  #report: ProbeReport | undefined;
  #toldMs = Number.NEGATIVE_INFINITY;
  /** The guest has been seen up in this run, and nothing was missed since. */
  #seenUp = false;
  /** It was up, but may have booted anew until then. */
  #doubtedSince: number | undefined;
  /** After the last failure. */
  #hostWasWell = true;

  constructor(machine: ProbedMachine, deps: ProbesDeps) {
    this.machine = machine;
    this.#deps = deps;
    if (machine.up) this.#doubtedSince = deps.clock.monotonic();
    this.#loop = this.#run();
  }

  get report(): ProbeReport | undefined {
    return this.#report;
  }

  doubt(): void {
    if (!this.#seenUp) return;
    this.#seenUp = false;
    this.#doubtedSince = this.#deps.clock.monotonic();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#loop;
  }

  async #run(): Promise<void> {
    const { startup, readiness, liveness } = this.machine.launch;
    if (startup && !this.machine.up) await this.#repeat(startup, this.#startup(startup));
    // Without readiness running counts as ready, once the guest has started.
    if (startup && !readiness && !this.#stop.signal.aborted)
      this.#tell({ ready: true, message: 'The guest has started' });
    await Promise.all([
      readiness && this.#repeat(readiness, this.#readiness(readiness)),
      liveness && this.#repeat(liveness, this.#liveness(liveness)),
    ]);
  }

  /** Until the judge has enough. */
  async #repeat(probe: LaunchProbe, judge: Judge): Promise<void> {
    const { clock } = this.#deps;
    const { signal } = this.#stop;
    const sleep = async (ms: number) => await clock.sleep(ms, signal).catch(() => undefined); // disposed: the loop sees it
    await sleep(Math.max(0, this.machine.since + probe.initialDelayMs - clock.now()));
    while (!signal.aborted) {
      const finding = await this.#try(probe);
      if (signal.aborted) return;
      if (finding?.outcome === 'Unknown') this.#warn('Cannot probe a guest', finding.reason ?? finding.message);
      if (finding && (await judge(finding))) return;
      await sleep(Math.max(periodMsMin, probe.periodMs));
    }
  }

  /** undefined if its host keeps the guest from answering, or did meanwhile: no row of tries grows by that, and none is broken. */
  async #try(probe: LaunchProbe): Promise<Finding | undefined> {
    using stillness = this.#deps.stillness(this.machine);
    if (stillness.isStill) return undefined;
    const finding = await this.#deps.attempt(this.machine, probe, this.#stop.signal);
    return finding.outcome !== 'Succeeded' && (await stillness.wasStill()) ? undefined : finding;
  }

  #readiness({ successThreshold, failureThreshold }: LaunchProbe): Judge {
    let [successes, failures] = [0, 0];
    return ({ outcome, message }) => {
      const isWell = outcome === 'Succeeded';
      [successes, failures] = isWell ? [successes + 1, 0] : [0, failures + 1];
      if (isWell && successes >= successThreshold) this.#tell({ ready: true, message: 'The probe has succeeded' });
      // Not ready yet is told at once, not ready any more when it is sure.
      else if (!isWell && (failures >= failureThreshold || !this.#report?.ready)) this.#tell({ ready: false, message });
      return false;
    };
  }

  #startup({ failureThreshold }: LaunchProbe): Judge {
    let failures = 0;
    return async ({ outcome, message }) => {
      if (outcome === 'Succeeded') {
        this.#cameUp();
        return true;
      }
      this.#tell({ ready: false, message: `The guest has not started yet: ${message}` });
      if (outcome === 'Failed' && (await this.#isOfGuest())) failures += 1;
      if (failures >= failureThreshold)
        this.#giveUp('StartupTimeout', `The guest has not started after ${failures} tries: ${message}`);
      return false;
    };
  }

  #liveness({ failureThreshold }: LaunchProbe): Judge {
    let failures = 0;
    return async ({ outcome, message }) => {
      failures = outcome === 'Failed' && (await this.#isOfGuest()) ? failures + 1 : 0;
      if (outcome === 'Succeeded' && !this.#seenUp) this.#cameUp();
      if (failures >= failureThreshold && this.#counts())
        this.#giveUp('LivenessFailed', `The guest has failed its probe ${failures} times in a row: ${message}`);
      return false;
    };
  }

  #cameUp(): void {
    this.#seenUp = true;
    this.#doubtedSince = undefined;
    this.#deps.up(this.machine);
  }

  #counts(): boolean {
    if (this.#seenUp) return true;
    return this.#doubtedSince !== undefined && this.#deps.clock.monotonic() - this.#doubtedSince >= doubtMs;
  }

  /** Whether a failure can have no other reason. */
  async #isOfGuest(): Promise<boolean> {
    const wasWell = this.#hostWasWell;
    try {
      await this.#deps.requireHost(this.machine);
      this.#hostWasWell = true;
      return wasWell;
    } catch (error) {
      this.#hostWasWell = false;
      this.#warn('A guest fails its probe, but its host is not well', messageOf(error));
      return false;
    }
  }

  #giveUp(reason: Unhealthy['reason'], message: string): void {
    if (!this.#stop.signal.aborted) this.#deps.unhealthy(this.machine, { reason, message });
  }

  #warn(message: string, reason: string): void {
    this.#deps.log.warn(message, { uid: this.machine.launch.uid, reason });
  }

  #tell(report: ProbeReport): void {
    const { clock, changed } = this.#deps;
    const before = this.#report;
    const isFresh = clock.monotonic() - this.#toldMs < textEveryMs;
    if (before?.ready === report.ready && (before.message === report.message || isFresh)) return;
    this.#report = report;
    this.#toldMs = clock.monotonic();
    changed(this.machine.launch.uid);
  }
}
