/** What to do after looking at a machine's domain, phase by phase. Pure. */
import { type Domain, leftMessage } from '../hypervisor.ts';
import { migrating, receiving, taking } from './migrate.ts';
import { enter, failTask, guestFailed, guestWentOff, hostWentOff, stay, type Verdict } from './moves.ts';
import { operate } from './operate.ts';
import { messageOfReason } from './reasons.ts';
import { awaitsPlug, awaitsSecrets, type MachineState, type Phase } from './state.ts';

/** From the first look to the secrets of the seed. The cluster server sends them with every heartbeat that says that they are missing. */
const secretsMs = 300_000;
/** api.md, phase Paused: how often a guest that an I/O error stopped is resumed. */
const retryResumeMs = 30_000;

type In<Name extends Phase['name']> = MachineState & { readonly phase: Extract<Phase, { name: Name }> };

export function looked(state: MachineState, domain: Domain | undefined, now: number): Verdict {
  const { phase } = state;
  const power = domain?.power ?? 'Off';
  switch (phase.name) {
    case 'Provisioning':
      return provisioning({ ...state, phase }, domain, now);
    case 'Starting':
      if (domain && power !== 'Off') return up(state, domain, now);
      // However long that takes: it is not the start that fails.
      if (domain?.left) return untilGone({ ...state, phase: { name: 'Waiting', until: now } }, domain.left);
      if (now < phase.deadline) return stay(state, 'start');
      return failTask(state, 'StartTimeout', 'The hypervisor did not report the domain running within 2 minutes', now);
    case 'Running':
    case 'Paused':
      if (!domain || power === 'Off') return guestWentOff(state, domain?.offReason, now);
      if ((power === 'On') !== (phase.name === 'Running')) return up(state, domain, now);
      if (phase.name === 'Running' && awaitsPlug(state)) return stay(state, 'plug');
      if (phase.name === 'Paused' && state.operations.length === 0) return paused({ ...state, phase }, domain, now);
      return operate(state, now);
    case 'Waiting':
      if (domain && power !== 'Off') return up(state, domain, now);
      if (domain?.left) return untilGone(state, domain.left);
      if (state.operations.length > 0) return operate(state, now);
      if (now < phase.until) return stay(state);
      return enter({ ...state, restarts: state.restarts + 1 }, 'Starting', now, state.message);
    case 'Stopping':
      if (domain?.left) return untilGone(state, domain.left);
      return stopping({ ...state, phase }, domain, now);
    case 'Stopped':
      return !domain || power === 'Off' ? operate(state, now) : up(state, domain, now);
    case 'Receiving':
      return receiving({ ...state, phase }, domain, now);
    case 'Taking':
      return taking({ ...state, phase }, domain, now);
    case 'Migrating':
      return migrating({ ...state, phase }, domain, now);
    case 'Removing':
      return removing({ ...state, phase }, domain, now);
    case 'Gone':
      return stay(state);
  }
}

/** It is woken when the process is gone: that is a change that looking at all domains finds. */
function untilGone(state: MachineState, left: NonNullable<Domain['left']>): Verdict {
  return stay({ ...state, message: `Waits: ${leftMessage(left)}` });
}

function up(state: MachineState, domain: Domain, now: number): Verdict {
  const verdict = enter(state, domain.power === 'On' ? 'Running' : 'Paused', now, state.message);
  return domain.pausedReason === 'IOError' ? { ...verdict, state: retryLater(verdict.state, now) } : verdict;
}

/**
 * A disk that could not be read or written may be mended by the host without anybody telling us: resuming is tried now and then. Not if
 * somebody wants the guest to be paused.
 */
function paused(state: In<'Paused'>, { pausedReason }: Domain, now: number): Verdict {
  const { retryAt, held } = state.phase;
  if (pausedReason === 'IOError' && !held) {
    if (retryAt === undefined) return stay(retryLater(state, now));
    return now < retryAt ? stay(state) : stay(retryLater(state, now), 'resume');
  }
  return stay({ ...state, phase: held ? { name: 'Paused', held } : { name: 'Paused' } });
}

function retryLater(state: MachineState, now: number): MachineState {
  return { ...state, phase: { name: 'Paused', retryAt: now + retryResumeMs } };
}

/**
 * A domain that is already there is ours to go on with only if this attempt made it, or if the launch says so: anything else would be a
 * second life for one machine, or the end of somebody's first.
 */
function provisioning(state: In<'Provisioning'>, domain: Domain | undefined, now: number): Verdict {
  const { launch } = state;
  // What waits for a guest is no life, and whoever waited is gone.
  if (domain?.receiving) return stay(state, 'refuse');
  if (!domain) {
    if (awaitsSecrets(state)) return awaitSecrets(state, now);
    if (!launch.adopt) return stay(state, 'provision');
    return failTask(
      state,
      'NothingToAdopt',
      `There is no domain of machine ${launch.uid} on this host to take over`,
      now,
    );
  }
  // One that is to come from another host is not here yet, whatever this is.
  if (!launch.adopt && (launch.incoming || domain.attempt !== launch.attempt)) return refuseSecondLife(state, domain);
  // Its attempt was to leave this host, and whoever has it taken over knows that it did not.
  if (domain.sent) return stay(state, 'keep');
  if (domain.power !== 'Off') return up(state, domain, now);
  // It went off while nobody watched over it: the same rules hold as if we had seen it.
  if (launch.adopt && domain.offReason !== undefined) return guestWentOff(state, domain.offReason, now);
  if (launch.adopt && launch.power === 'On') return hostWentOff(state, now);
  return enter(state, launch.power === 'On' ? 'Starting' : 'Stopped', now);
}

/** Infrastructure: whose fault it is the cluster server knows, which says so of a Secret that is missing. */
function awaitSecrets(state: In<'Provisioning'>, now: number): Verdict {
  const { deadline = now + secretsMs } = state.phase;
  if (now < deadline)
    return stay({ ...state, phase: { name: 'Provisioning', deadline }, message: messageOfReason.SecretsAwaited });
  return failTask(state, 'SecretsNotReceived', messageOfReason.SecretsNotReceived, now);
}

function refuseSecondLife(state: MachineState, domain: Domain): Verdict {
  const { uid, attempt } = state.launch;
  const message =
    `Machine ${uid} already has a domain here, made by attempt ${domain.attempt} and now ${domain.power}; attempt ${attempt} ` +
    'was not started. Launch it again with adopt, or have the old domain cleaned up first';
  const termination = {
    class: 'Infrastructure',
    reason: 'DomainExists',
    message,
    terminal: false,
    domainAbsent: false,
  } as const;
  return {
    state: { ...state, phase: { name: 'Gone' } },
    effects: [{ type: 'status', state: 'TASK_FAILED', message, termination }],
  };
}

function stopping(state: In<'Stopping'>, domain: Domain | undefined, now: number): Verdict {
  const { phase } = state;
  if (domain && domain.power !== 'Off') {
    // A guest that its host has stopped cannot answer a probe, and has not failed it.
    if (phase.because && domain.power === 'Paused') return up(state, domain, now);
    return off(state, domain.power, phase.deadline, now);
  }
  if (phase.because) return guestFailed(state, phase.because.reason, phase.because.message, now);
  if (phase.next === 'Stop') return enter(state, 'Stopped', now);
  return enter({ ...state, restarts: state.restarts + 1 }, 'Starting', now);
}

/** A paused guest cannot answer the power button, so its power is cut without waiting. */
function off(state: MachineState, power: 'On' | 'Paused', deadline: number, now: number): Verdict {
  return stay(state, power === 'On' && now < deadline ? 'shutdown' : 'destroy');
}

/** Goes on until a look shows that there is no domain and what belonged to it has been removed: only then the task may end. */
function removing(state: In<'Removing'>, domain: Domain | undefined, now: number): Verdict {
  const { phase } = state;
  if (domain?.left) return untilGone(state, domain.left);
  if (domain?.receiving) return stay(state, 'refuse');
  if (domain?.sent) return stay(state, 'release');
  if (domain && domain.power !== 'Off') return off(state, domain.power, phase.deadline, now);
  if (domain || !phase.cleaned) return stay(state, 'remove');
  const { state: task, termination } = phase.outcome;
  return {
    state: { ...state, phase: { name: 'Gone' } },
    effects: [
      {
        type: 'status',
        state: task,
        message: termination.message,
        termination: { ...termination, domainAbsent: true },
      },
    ],
  };
}
