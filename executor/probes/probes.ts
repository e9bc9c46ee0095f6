/** Health of guests: each machine that was launched with probes is tried at their pace while it runs. */
import type { LaunchProbe, MachineLaunch } from '#lib/api/launch.ts';
import type { ProbeReport } from '#lib/api/messages.ts';
import type { Clock } from '#lib/std/clock.ts';
import type { Log } from '#lib/std/log.ts';
import type { Unhealthy } from '../machine/state.ts';
import { Prober } from './prober.ts';
import type { Finding } from './try-probe.ts';

/** How soon a machine that begins to run is noticed. */
const lookEveryMs = 1_000;

export interface ProbedMachine {
  readonly launch: Pick<
    MachineLaunch,
    'uid' | 'hostname' | 'networks' | 'volumes' | 'readiness' | 'liveness' | 'startup'
  >;
  /** Wall clock: when the guest began to run. */
  readonly since: number;
  /** It has come up since, as was found before. */
  readonly up: boolean;
}

/** A guest that is kept still, frozen for a snapshot or paused, is not tried, and what it left unsaid meanwhile says nothing of it. */
export interface Stillness extends Disposable {
  /** Known without asking. */
  readonly isStill: boolean;
  /** It was still at any moment since this was begun. */
  wasStill(): Promise<boolean>;
}

export interface ProbesDeps {
  /** Those that run and have a probe. */
  machines(): readonly ProbedMachine[];
  attempt(machine: ProbedMachine, probe: LaunchProbe, signal: AbortSignal): Promise<Finding>;
  /** Begins to watch whether it is its host that keeps the guest from answering. */
  stillness(machine: ProbedMachine): Stillness;
  /** Throws what of the host could be why a guest fails. */
  requireHost(machine: ProbedMachine): Promise<void>;
  /** A report is another one now. */
  changed(uid: string): void;
  /** The guest has come up: told once per run, or again. */
  up(machine: ProbedMachine): void;
  /** The guest has failed for good. Told again with each further try. */
  unhealthy(machine: ProbedMachine, why: Unhealthy): void;
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

  /** Guests may have booted anew, and nobody has heard of it. */
  doubt(): void {
    for (const prober of this.#running.values()) prober.doubt();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#loop;
    await Promise.all([...this.#running.values()].map(async (each) => await each[Symbol.asyncDispose]()));
  }

  async #run(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      const machines = new Map(this.#deps.machines().map((machine) => [machine.launch.uid, machine]));
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
