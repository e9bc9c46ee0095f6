/** The machines of this host: one driver each, and the way of launches, kills and operations to them. */
import type { MachineLaunch } from '#lib/api/launch.ts';
import {
  type MachineReport,
  type MigrateOrder,
  type MigrationEndOrder,
  type OperationOrder,
  type PolicyOrder,
  type SeedOrder,
  seedContext,
} from '#lib/api/messages.ts';
import type { Clock } from '#lib/std/clock.ts';
import { messageOf } from '#lib/std/errors.ts';
import type { Log } from '#lib/std/log.ts';
import type { Opener } from '#lib/std/sealed-box.ts';
import type { TaskInfo } from '#mesos/types.ts';
import type { Fences } from './fence/fences.ts';
import { type Domain, MachineError } from './hypervisor.ts';
import type { Journal } from './journal/journal.ts';
import { MachineDriver } from './machine/driver.ts';
import { type HostTools, perform } from './machine/host.ts';
import {
  accepted,
  awaitsSecrets,
  type Effect,
  type MachineState,
  type MigrationEvent,
  type Outcome,
  outcomeOf,
  reportOf,
  runOf,
  type Unhealthy,
} from './machine/state.ts';
import { parseSecrets } from './messages.ts';
import type { Departures } from './migration/departures.ts';
import type { ProbedMachine } from './probes/probes.ts';
import type { Reporter, StatusWords } from './reporter.ts';

export interface MachinesDeps {
  readonly journal: Journal;
  readonly reporter: Reporter;
  readonly tools: HostTools;
  /** Sends guests from here. */
  readonly departures: Pick<Departures, 'follow' | 'progressOf'>;
  readonly opener: Opener;
  readonly fences: Pick<Fences, 'begin' | 'resume' | 'end' | 'isOver' | 'reportOf'>;
  readonly clock: Clock;
  readonly log: Log;
  /** Settles when no clean-up is under way that could still touch a machine launched now. */
  cleaned(): Promise<void>;
  /** The journal cannot be written any more: the worker must end, nothing may be done that is not stored. */
  fatal(error: unknown): void;
}

const killed: Outcome = {
  state: 'TASK_KILLED',
  termination: { class: 'User', reason: 'Killed', message: 'Killed as ordered', terminal: false },
};

/** Migrations whose machine is gone from here, of which the other host may still ask. */
const rememberedMax = 256;

export class Machines implements AsyncDisposable {
  readonly #deps: MachinesDeps;
  readonly #byUid = new Map<string, MachineDriver>();
  /** Orders that a driver has and has not finished. */
  readonly #orders = new Set<string>();
  /** By the id of the migration that brought it, what became of it. */
  readonly #outcomes = new Map<string, 'Taken' | 'Refused'>();

  /** Goes on with the machines in the journal. Nothing happens to a domain that is as it should be. */
  constructor(deps: MachinesDeps) {
    this.#deps = deps;
    for (const { state, ended } of deps.journal.tasks()) {
      if (state === undefined || ended) continue;
      const machine = state as MachineState;
      const { uid, attempt, selfFenceMs } = machine.launch;
      deps.fences.resume(uid, attempt, selfFenceMs);
      for (const { id } of machine.operations) this.#orders.add(id);
      this.#drive(machine).push({ type: 'resumed' });
      // What was not sent is not sent any more.
      if (machine.phase.name === 'Migrating' && machine.phase.sent !== undefined) deps.departures.follow(machine);
    }
  }

  /** Ends the drivers after their steps under way; the domains go on. */
  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#byUid.values()].map(async (driver) => await driver[Symbol.asyncDispose]()));
  }

  launch(info: TaskInfo, launch: MachineLaunch): void {
    const known = this.#byUid.get(launch.uid);
    const old = known?.state.phase.name === 'Gone' ? undefined : known;
    if (old && !launch.adopt) {
      this.#refuseSecondLife(info, launch, old.state);
      return;
    }
    const state = accepted(launch);
    const doing = launch.incoming ? 'Receiving' : 'Provisioning';
    const words = { state: 'TASK_STARTING', message: launch.adopt ? 'Taking over' : doing } as const;
    this.#deps.reporter.accept(info, words, state, old?.state.launch.taskId);
    for (const { id, operation } of old?.state.operations ?? []) {
      const message = `Cannot ${operation}: another attempt has taken the machine over`;
      this.#deps.journal.finish({ id, uid: launch.uid, state: 'Failed', message });
    }
    this.#deps.fences.begin(launch.uid, launch.attempt, launch.selfFenceMs);
    this.#drive(state, this.#released(old));
  }

  /** One owner at a time: a machine is not touched before whoever had it has let go. */
  async #released(old: MachineDriver | undefined): Promise<void> {
    await Promise.all([old?.release(), this.#deps.cleaned()]);
  }

  #refuseSecondLife(info: TaskInfo, { uid, attempt }: MachineLaunch, { launch, phase }: MachineState): void {
    const message =
      `Machine ${uid} is still here as attempt ${launch.attempt} (${phase.name}); attempt ${attempt} was not started. ` +
      'Kill the older attempt first, or launch with adopt to take its domain over';
    const reason = 'AttemptStillHere';
    this.#deps.reporter.refuse(info, {
      class: 'Infrastructure',
      reason,
      message,
      terminal: false,
      domainAbsent: false,
    });
  }

  /** False if there is no such machine. `graceMs` from the kill policy, else the launch's own. */
  kill(taskId: string, graceMs?: number): boolean {
    const driver = [...this.#byUid.values()].find(({ state }) => state.launch.taskId === taskId);
    driver?.push({ type: 'kill', graceMs: graceMs ?? driver.state.launch.terminationGraceMs, outcome: killed });
    return driver !== undefined;
  }

  /** Each order is done once by its id, however often it is repeated. */
  order(order: OperationOrder): void {
    const { id, uid, operation } = order;
    const report = this.#deps.journal.order({ id, uid, state: 'InProgress', message: `${operation} was accepted` });
    if (report.state !== 'InProgress' || this.#orders.has(id)) return;
    const driver = this.#byUid.get(uid);
    if (driver) {
      // With a full queue the next repeat will find room.
      if (driver.push({ type: 'order', order })) this.#orders.add(id);
      return;
    }
    const message = `Cannot ${operation}: machine ${uid} is not on this host`;
    this.#deps.journal.finish({ id, uid, state: 'Failed', message });
  }

  /** What is lost on the way, or finds no place in the queue, is ordered again. */
  follow(order: PolicyOrder): void {
    this.#byUid.get(order.uid)?.push({ type: 'policy', order });
  }

  /** Whoever does not wait for secrets forgets them. What cannot be opened was sealed for a worker before: it comes again. */
  seed(order: SeedOrder): void {
    const driver = this.#byUid.get(order.uid);
    if (!driver || driver.state.launch.attempt !== order.attempt || !awaitsSecrets(driver.state)) return;
    try {
      const secrets = parseSecrets(this.#deps.opener.open(order.sealed, seedContext(order)));
      driver.push({ type: 'secrets', secrets });
    } catch (error) {
      this.#deps.log.warn('Ignored the secrets of a seed', { uid: order.uid, reason: messageOf(error) });
    }
  }

  /** What cannot be begun now, or is lost on the way, is ordered again. */
  migrate(order: MigrateOrder): void {
    this.#byUid.get(order.uid)?.push({ type: 'migrate', order });
  }

  endMigration(order: MigrationEndOrder): void {
    this.#byUid.get(order.uid)?.push({ type: 'migration-end', order });
  }

  /** As the driver's `ask`. MachineError if the machine is not here. */
  async ask(uid: string, event: MigrationEvent): Promise<string> {
    return await this.#need(uid).ask(event);
  }

  /** Not to be waited for: it counts when it is stored. */
  tell(uid: string, event: MigrationEvent): void {
    this.#byUid.get(uid)?.push(event);
  }

  /** What has become of the machine that was to come by this migration; undefined if nothing is known of it. */
  outcomeOf(uid: string, id: string): ReturnType<typeof outcomeOf> | undefined {
    const state = this.#byUid.get(uid)?.state;
    return state?.launch.incoming?.migration === id ? outcomeOf(state) : this.#outcomes.get(id);
  }

  /** Resolves when that is decided, or is not to be found out here. */
  async decided(uid: string, signal: AbortSignal): Promise<void> {
    await this.#byUid.get(uid)?.reaches((state) => outcomeOf(state) !== 'Receiving', signal);
  }

  #need(uid: string): MachineDriver {
    const driver = this.#byUid.get(uid);
    if (!driver) throw new MachineError(`Machine ${uid} is not on this host`);
    return driver;
  }

  /** namespace/name of a machine that is here. */
  nameOf(uid: string): string | undefined {
    const launch = this.#byUid.get(uid)?.state.launch;
    return launch && `${launch.namespace}/${launch.name}`;
  }

  stateOf(uid: string): MachineState | undefined {
    return this.#byUid.get(uid)?.state;
  }

  has(uid: string): boolean {
    return this.#byUid.has(uid);
  }

  /** Of images that machines here were made of, or are to be. */
  digests(): readonly string[] {
    return [...this.#byUid.values()].map(({ state }) => state.launch.image.digest);
  }

  reports(): MachineReport[] {
    return [...this.#byUid.values()].map(({ state }) => {
      const fence = this.#deps.fences.reportOf(state.launch.uid, state.launch.attempt);
      const { migration, ...report } = reportOf(state);
      const progress = this.#deps.departures.progressOf(report.uid);
      return { ...report, ...(migration && { migration: { ...migration, ...progress } }), ...(fence && { fence }) };
    });
  }

  /** uids of those whose guests run. */
  running(): readonly string[] {
    const driven = [...this.#byUid].filter(([, { state }]) => runOf(state) && state.power === 'On');
    return driven.map(([uid]) => uid);
  }

  /** Those of them that were launched with a probe. */
  probed(): readonly ProbedMachine[] {
    return [...this.#byUid.values()].flatMap(({ state }) => {
      const { launch, power } = state;
      const run = runOf(state);
      if (!run || power !== 'On') return [];
      if (!launch.readiness && !launch.liveness && !launch.startup) return [];
      return [{ launch, since: run.since, up: run.up === true }];
    });
  }

  /** Its probes found so, in the run that began then. What finds no place in the queue is found again. */
  cameUp(uid: string, since: number): void {
    this.#byUid.get(uid)?.push({ type: 'up', since });
  }

  failed(uid: string, since: number, why: Unhealthy): void {
    this.#byUid.get(uid)?.push({ type: 'unhealthy', since, ...why });
  }

  /** The guest boots anew. */
  rebooted(uid: string): void {
    const driver = this.#byUid.get(uid);
    if (driver?.state.launch.liveness) driver.push({ type: 'rebooted' });
  }

  /** Has the drivers look whose machine is not as they saw it last. `domains` may be older than what they have done since. */
  compare(domains: readonly Domain[]): void {
    const known = new Map(domains.map((domain) => [domain.uid, domain]));
    for (const [uid, driver] of this.#byUid) if (driver.differs(known.get(uid))) driver.hint();
  }

  hint(uid: string): void {
    this.#byUid.get(uid)?.hint();
  }

  #drive(state: MachineState, after?: Promise<void>): MachineDriver {
    const { tools, clock, log } = this.#deps;
    const { fences } = this.#deps;
    const { uid, taskId, name, namespace, attempt } = state.launch;
    const driver = new MachineDriver(
      state,
      {
        look: async (each) => await tools.hypervisor.get(each),
        isFenced: () => fences.isOver(uid, attempt),
        perform: async (state, effect, cause) => await perform(tools, state, effect, cause),
        commit: (next, reports) => this.#commit(next, reports),
        clock,
        log: log.child({ uid, taskId, machine: `${namespace}/${name}` }),
      },
      after,
    );
    this.#byUid.set(uid, driver);
    driver.finished.then(
      () => {
        if (driver.state.phase.name !== 'Gone') return;
        fences.end(uid, attempt);
        this.#remember(driver.state);
        if (this.#byUid.get(uid) === driver) this.#byUid.delete(uid);
      },
      (error) => this.#deps.fatal(error),
    );
    return driver;
  }

  #remember({ launch, ...state }: MachineState): void {
    const outcome = outcomeOf(state);
    if (!launch.incoming || outcome === 'Receiving') return;
    this.#outcomes.set(launch.incoming.migration, outcome);
    if (this.#outcomes.size > rememberedMax) this.#outcomes.delete(this.#outcomes.keys().next().value!);
  }

  #commit(state: MachineState, reports: readonly Exclude<Effect, { type: 'host' }>[]): void {
    const { uid, taskId } = state.launch;
    const words: StatusWords[] = [];
    const operations = [];
    for (const report of reports) {
      if (report.type === 'operation')
        operations.push({ id: report.id, uid, state: report.state, message: report.message });
      else words.push({ ...report, ...(report.termination ? { data: report.termination } : {}) });
    }
    this.#deps.reporter.step(taskId, { state, words, operations });
    for (const { id } of operations) this.#orders.delete(id);
    this.#deps.departures.follow(state);
  }
}
