/**
 * One machine on one host, as the journal keeps it. The phase says what is to be done next, so that a worker that was killed
 * between two lines only has to look at the domain and go on. Provisioning may have to wait for the secrets of the seed. They are never
 * part of the state: what is journalled is that the seed is made.
 *
 *   Provisioning ─► Starting ─► Running ◄─► Paused
 *        │             ▲  ▲        │
 *        │ power Off   │  └─ Waiting ◄ guest went off, to be restarted in place
 *        ▼             │           │
 *     Stopped ◄─────── Stopping ◄──┘ operation            any ─► Removing ─► Gone
 *
 * Handed from host to host (migrate.ts):
 *
 *   source:       Running, Paused ─► Migrating ─► as before, or Removing once the destination has it
 *   destination:  Provisioning ─► Receiving ─► Taking ─► Running, Paused; Removing of what was refused
 */
import type { AddressConflict, MachineLaunch, SeedSecrets, Termination } from '#lib/api/launch.ts';
import type {
  MachineEnd,
  MachinePhase,
  MachineReport,
  MigrateOrder,
  MigrationEndOrder,
  MigrationReport,
  OperationOrder,
  PolicyOrder,
  PowerState,
} from '#lib/api/messages.ts';
import type { Domain, MoveSockets } from '../hypervisor.ts';

/** How the task ends once the domain is proven absent. */
export interface Outcome {
  readonly state: 'TASK_KILLED' | 'TASK_FAILED' | 'TASK_FINISHED';
  readonly termination: Omit<Termination, 'domainAbsent'>;
}

/** Deadlines are wall-clock milliseconds: they have to survive a restart of the worker. */
export type Phase =
  /** `deadline`: for the secrets of the seed, once they were looked for. */
  | { readonly name: 'Provisioning'; readonly deadline?: number }
  | { readonly name: 'Starting'; readonly deadline: number }
  | {
      readonly name: 'Running';
      readonly since: number;
      /** Its guest has come up since: what its probe of liveness says counts. */
      readonly up?: true;
    }
  | {
      readonly name: 'Paused';
      /** Paused by an error of its disk, and to be resumed then. */
      readonly retryAt?: number;
      /** Ordered to stay paused while it was so by such an error: the hypervisor still tells the error. */
      readonly held?: true;
    }
  | { readonly name: 'Waiting'; readonly until: number }
  | {
      readonly name: 'Stopping';
      readonly deadline: number;
      readonly next: 'Start' | 'Stop';
      /** It failed a probe: once it is off, what is done with one that has crashed is done with it. */
      readonly because?: Unhealthy;
    }
  | { readonly name: 'Stopped' }
  /** All is ready for a guest that comes from another host. `begun`: the hypervisor waits for it, for as long as this worker lives. */
  | { readonly name: 'Receiving'; readonly deadline: number; readonly begun?: true }
  /** The guest is being taken over: it may be this host's. `refused`: the hypervisor was told to end what is not. */
  | { readonly name: 'Taking'; readonly refused?: true; readonly kill?: Kill }
  | Migrating
  | { readonly name: 'Removing'; readonly deadline: number; readonly cleaned: boolean; readonly outcome: Outcome }
  | { readonly name: 'Gone' };

export interface Kill {
  readonly graceMs: number;
  readonly outcome: Outcome;
}

/** The guest is being sent to another host. Until `sent` it runs here, and what fails leaves it as it was. */
export interface Migrating {
  readonly name: 'Migrating';
  readonly id: string;
  readonly to: MigrateOrder['to'];
  readonly deadline: number;
  /** As it goes on if it stays. */
  readonly before: Extract<Phase, { readonly name: 'Running' | 'Paused' }>;
  /** All of it was sent, and the destination decides whose it is: for its hypervisor. */
  readonly sent?: string;
  /** It stays here: what was begun is being ended. */
  readonly ending?: { readonly message: string };
}

/** What a probe has found so often that it is sure. */
export interface Unhealthy {
  readonly reason: 'LivenessFailed' | 'StartupTimeout';
  readonly message: string;
}

/** seed: with the secrets of the event. plug: asks for the machine's addresses first. */
export type HostEffect =
  | 'seed'
  | 'provision'
  | 'start'
  | 'plug'
  | 'shutdown'
  | 'destroy'
  | 'reset'
  | 'suspend'
  | 'resume'
  /** Live migration, at the destination. The first three with what the event brings. */
  | 'describe'
  | 'receive'
  | 'take'
  | 'refuse'
  /** And at the source, whose guest stays, or has left. */
  | 'keep'
  | 'release'
  | 'remove';

/** An operation that was ordered and is not reported done. */
export interface PendingOperation {
  readonly id: string;
  readonly operation: OperationOrder['operation'];
  readonly force: boolean;
  readonly deadline: number;
  /** Restart only: the power was cut for it, so that being on means done. */
  readonly begun: boolean;
}

export interface MachineState {
  readonly launch: MachineLaunch;
  readonly phase: Phase;
  /** As last seen. */
  readonly power: PowerState;
  /** The seed that waited for secrets is on the disk. */
  readonly seeded?: true;
  /** Nobody else has its addresses: it got its carrier, and starts with it from now on. */
  readonly plugged?: true;
  /** TASK_RUNNING was sent. */
  readonly announced: boolean;
  readonly restarts: number;
  /** Times of the guest's crashes within the last ten minutes. */
  readonly crashes: readonly number[];
  /** Restarts in place without a quiet time between them: the exponent of the delay. */
  readonly restartsInRow: number;
  readonly operations: readonly PendingOperation[];
  /** The last thing done to the host, and when the same may be done again if it did not help. */
  readonly last?: { readonly effect: HostEffect; readonly tries: number; readonly retryAt: number };
  readonly message?: string;
  /** How it went off last, if by itself. */
  readonly lastEnd?: MachineEnd;
  /** It came from another host, and was taken over. */
  readonly taken?: true;
  /** Of the last migration from here, which came to nothing. */
  readonly migration?: MigrationReport;
}

export type MachineEvent =
  /** Another worker had it until now. */
  | { readonly type: 'resumed' }
  | { readonly type: 'looked'; readonly domain: Domain | undefined; readonly fenced?: true }
  | ({ readonly type: 'kill' } & Kill)
  | { readonly type: 'order'; readonly order: OperationOrder }
  | { readonly type: 'policy'; readonly order: PolicyOrder }
  | { readonly type: 'secrets'; readonly secrets: SeedSecrets }
  /** Of its probes, in the run that began at `since`. */
  | { readonly type: 'up'; readonly since: number }
  | ({ readonly type: 'unhealthy'; readonly since: number } & Unhealthy)
  | MigrationEvent
  /** The guest boots anew; its power stays on. */
  | { readonly type: 'rebooted' }
  | { readonly type: 'done'; readonly effect: HostEffect }
  | {
      readonly type: 'failed';
      readonly effect: HostEffect;
      readonly message: string;
      /** It failed because somebody else has an address of the machine. */
      readonly conflict?: AddressConflict;
    };

/** `id` is the migration's. */
export type MigrationEvent =
  | { readonly type: 'migrate'; readonly order: MigrateOrder }
  | { readonly type: 'migration-end'; readonly order: MigrationEndOrder }
  /** Asked by the source. */
  | { readonly type: 'describe'; readonly id: string }
  | { readonly type: 'receive'; readonly id: string; readonly begun: string; readonly sockets: MoveSockets }
  | { readonly type: 'finish'; readonly id: string; readonly sent: string }
  | { readonly type: 'refuse'; readonly id: string; readonly message: string }
  /** Found by who sends the guest from here. */
  | { readonly type: 'sent'; readonly id: string; readonly sent: string }
  | { readonly type: 'unsent'; readonly id: string; readonly message: string }
  | { readonly type: 'decided'; readonly id: string; readonly taken: boolean };

export type Effect =
  /** Do this to the host; at most one per step. The answer is a `done` or `failed` event. */
  | { readonly type: 'host'; readonly effect: HostEffect }
  | {
      readonly type: 'status';
      readonly state: 'TASK_RUNNING' | Outcome['state'];
      readonly message: string;
      readonly termination?: Termination;
    }
  | {
      readonly type: 'operation';
      readonly id: string;
      readonly state: 'Completed' | 'Failed';
      readonly message: string;
    };

export interface Step {
  readonly state: MachineState;
  readonly effects: readonly Effect[];
  /** What was asked for is not done, and why. */
  readonly refusal?: string;
}

/** The state of a machine whose launch was just accepted. */
export function accepted(launch: MachineLaunch): MachineState {
  return {
    launch,
    phase: { name: 'Provisioning' },
    power: 'Off',
    announced: false,
    restarts: 0,
    crashes: [],
    restartsInRow: 0,
    operations: [],
  };
}

const reported: Readonly<Record<Exclude<Phase['name'], 'Migrating'>, MachinePhase>> = {
  Provisioning: 'Provisioning',
  Starting: 'Starting',
  Running: 'Running',
  Paused: 'Paused',
  Waiting: 'Starting',
  Stopping: 'Stopping',
  Stopped: 'Stopped',
  Receiving: 'Provisioning',
  Taking: 'Provisioning',
  Removing: 'Stopping',
  Gone: 'Stopped',
};

/** Its next step needs the secrets of its seed. */
export function awaitsSecrets({ launch, phase, seeded }: MachineState): boolean {
  return phase.name === 'Provisioning' && launch.secretSeed === true && !launch.adopt && !seeded;
}

/** It runs without a carrier until its addresses were asked for. How far that came with one that is taken over nobody knows. */
export function awaitsPlug({ launch, plugged }: Pick<MachineState, 'launch' | 'plugged'>): boolean {
  // The guest that comes had them at its other host.
  if (launch.incoming) return false;
  return !plugged && (launch.adopt === true || launch.networks.some(({ probe }) => probe));
}

/** As the machine is beside being sent to another host. */
function atRest(phase: Phase): Exclude<Phase, Migrating> {
  return phase.name === 'Migrating' ? phase.before : phase;
}

/** The run of its guest, which goes on while it is being sent. Undefined if it is in none. */
export function runOf({ phase }: Pick<MachineState, 'phase'>): Extract<Phase, { name: 'Running' }> | undefined {
  if (phase.name === 'Migrating' && (phase.sent !== undefined || phase.ending)) return undefined;
  const rest = atRest(phase);
  return rest.name === 'Running' ? rest : undefined;
}

function migrationOf(state: MachineState): MigrationReport | undefined {
  const { launch, phase } = state;
  if (phase.name === 'Migrating') {
    const { id, sent, ending, to } = phase;
    const state = sent === undefined ? 'Sending' : 'Undecided';
    const waits =
      sent === undefined ? `Is sent to ${to.hostname}` : `Waits for host ${to.hostname} to say whether it has it`;
    return { id, state, message: ending?.message ?? waits };
  }
  if (!isComing(state)) return state.migration;
  const message = phase.name === 'Removing' ? `Gives up: ${phase.outcome.termination.message}` : 'Waits for the guest';
  return { id: launch.incoming!.migration, state: 'Receiving', message };
}

/** It is to come from another host, or was: its guest has never been here. */
function isComing({ launch, taken }: MachineState): boolean {
  return launch.incoming !== undefined && !taken;
}

/** Its guest is not here yet, and nobody has said that it will not come. */
function isExpected({ name }: Phase): boolean {
  return name === 'Provisioning' || name === 'Receiving' || name === 'Taking';
}

/** What has become of the migration that it comes by. */
export function outcomeOf({ phase, taken }: Pick<MachineState, 'phase' | 'taken'>): 'Receiving' | 'Taken' | 'Refused' {
  if (taken) return 'Taken';
  return isExpected(phase) ? 'Receiving' : 'Refused';
}

/** What a heartbeat says of the machine. */
export function reportOf(state: MachineState): MachineReport {
  const { launch } = state;
  const phase = atRest(state.phase);
  const migration = migrationOf(state);
  const restingPhase = phase.name === 'Running' && awaitsPlug(state) ? 'Starting' : reported[phase.name];
  return {
    uid: launch.uid,
    attempt: launch.attempt,
    taskId: launch.taskId,
    phase: isComing(state) ? 'Provisioning' : restingPhase,
    power: state.power,
    restarts: state.restarts,
    policy: { onGuestShutdown: launch.onGuestShutdown, onGuestCrash: launch.onGuestCrash },
    ...(state.message === undefined ? {} : { message: state.message }),
    ...(phase.name === 'Paused' && phase.retryAt !== undefined ? { pausedReason: 'IOError' } : {}),
    ...(state.lastEnd === undefined ? {} : { lastEnd: state.lastEnd }),
    ...(awaitsSecrets(state) ? { awaits: 'Secrets' as const } : {}),
    ...(migration && { migration }),
  };
}

/** When to look again even if nothing is heard: the next deadline or retry; undefined if there is none. */
export function wakeAt(state: MachineState, now: number): number | undefined {
  const { phase } = state;
  const times = state.operations.map((operation) => operation.deadline);
  if ('deadline' in phase && phase.deadline !== undefined) times.push(phase.deadline);
  if (phase.name === 'Waiting') times.push(phase.until);
  if (phase.name === 'Paused' && phase.retryAt !== undefined) times.push(phase.retryAt);
  if (state.last) times.push(state.last.retryAt);
  const next = Math.min(...times.filter((time) => time > now));
  return Number.isFinite(next) ? next : undefined;
}
