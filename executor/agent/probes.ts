/** Readiness of guests: each machine that was launched with a probe is tried at its own pace while it runs. */
import type { LaunchProbe } from '#lib/api/launch.ts';
import type { ProbeReport } from '#lib/api/messages.ts';
import type { Clock } from '#lib/std/clock.ts';
import { messageOf } from '#lib/std/errors.ts';
import type { Log } from '#lib/std/log.ts';
import { type Hypervisor, MachineError } from '../hypervisor.ts';
import { runCommand } from './run-command.ts';

/** How soon a machine that begins to run is noticed. */
const lookEveryMs = 1_000;
/** A command that hangs is not run again beside itself, and a guest cannot make the host busy. */
const periodMsMin = 1_000;
const wordsMax = 256;
/** What a guest says of itself may be another text each time: told so often, if nothing else is new. */
const textEveryMs = 60_000;

export interface ProbedMachine {
  readonly uid: string;
  readonly probe: LaunchProbe;
  /** Wall clock: when the guest began to run. */
  readonly since: number;
}

export interface ProbesDeps {
  readonly hypervisor: Pick<Hypervisor, 'agent'>;
  /** Those that run and have a probe. */
  machines(): readonly ProbedMachine[];
  /** A report is another one now. */
  changed(uid: string): void;
  readonly clock: Clock;
  readonly log: Log;
}

export class Probes implements AsyncDisposable {
  readonly #deps: ProbesDeps;
  readonly #running = new Map<string, Prober>();
  readonly #stop = new AbortController();
  readonly #loop: Promise<void>;

  /** Begins at once, until disposed. */
  constructor(deps: ProbesDeps) {
    this.#deps = deps;
    this.#loop = this.#run();
  }

  reportOf(uid: string): ProbeReport | undefined {
    return this.#running.get(uid)?.report;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#loop;
    await Promise.all([...this.#running.values()].map(async (each) => await each[Symbol.asyncDispose]()));
  }

  async #run(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      const machines = new Map(this.#deps.machines().map((machine) => [machine.uid, machine]));
      for (const [uid, prober] of this.#running) {
        if (machines.get(uid)?.since === prober.machine.since) continue;
        this.#running.delete(uid);
        void prober[Symbol.asyncDispose]();
      }
      for (const [uid, machine] of machines)
        if (!this.#running.has(uid)) this.#running.set(uid, new Prober(machine, this.#deps));
      await this.#deps.clock.sleep(lookEveryMs, this.#stop.signal).catch(() => undefined); // disposed: the loop sees it
    }
  }
}

/** One run of one guest. */
class Prober implements AsyncDisposable {
  readonly machine: ProbedMachine;
  readonly #deps: ProbesDeps;
  readonly #stop = new AbortController();
  readonly #loop: Promise<void>;
  #report: ProbeReport | undefined;
  #toldMs = 0;

  constructor(machine: ProbedMachine, deps: ProbesDeps) {
    this.machine = machine;
    this.#deps = deps;
    this.#loop = this.#run();
  }

  get report(): ProbeReport | undefined {
    return this.#report;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#loop;
  }

  async #run(): Promise<void> {
    const { clock } = this.#deps;
    const { probe, since } = this.machine;
    const { signal } = this.#stop;
    const sleep = async (ms: number) => await clock.sleep(ms, signal).catch(() => undefined); // disposed: the loop sees it
    await sleep(Math.max(0, since + probe.initialDelayMs - clock.now()));
    let [successes, failures] = [0, 0];
    while (!signal.aborted) {
      const why = await this.#try();
      if (signal.aborted) return;
      [successes, failures] = why === undefined ? [successes + 1, 0] : [0, failures + 1];
      if (why === undefined && successes >= probe.successThreshold)
        this.#tell({ ready: true, message: 'The probe has succeeded' });
      // Not ready yet is told at once, not ready any more when it is sure.
      else if (why !== undefined && (failures >= probe.failureThreshold || !this.#report?.ready))
        this.#tell({ ready: false, message: why });
      await sleep(Math.max(periodMsMin, probe.periodMs));
    }
  }

  /** Why it failed; undefined if it went well. */
  async #try(): Promise<string | undefined> {
    const { hypervisor, clock, log } = this.#deps;
    const { uid, probe } = this.machine;
    try {
      if (!probe.command) {
        await hypervisor.agent(uid, { execute: 'guest-ping' }, probe.timeoutMs);
        return undefined;
      }
      const asked = { command: probe.command, timeoutSeconds: Math.max(1, Math.ceil(probe.timeoutMs / 1000)) };
      const { exitCode, stdout, stderr } = await runCommand(
        { hypervisor, clock, signal: this.#stop.signal },
        uid,
        asked,
      );
      return exitCode === 0 ? undefined : `The command ended with ${exitCode}${said(stderr) || said(stdout)}`;
    } catch (error) {
      if (!(error instanceof MachineError) && !this.#stop.signal.aborted)
        log.warn('Cannot probe a guest', { uid, reason: messageOf(error) });
      return error instanceof MachineError ? error.message.slice(0, wordsMax) : 'The host cannot ask the guest now';
    }
  }

  #tell(report: ProbeReport): void {
    const { clock, changed } = this.#deps;
    const before = this.#report;
    const isFresh = clock.monotonic() - this.#toldMs < textEveryMs;
    if (before?.ready === report.ready && (before.message === report.message || isFresh)) return;
    this.#report = report;
    this.#toldMs = clock.monotonic();
    changed(this.machine.uid);
  }
}

/** Its last words, without what a terminal would make of them. */
function said(base64: string): string {
  const text = Buffer.from(base64, 'base64')
    .toString('utf8')
    .replaceAll(/\p{C}+/gu, ' ')
    .trim();
  return text === '' ? '' : `: ${text.slice(-wordsMax)}`;
}
