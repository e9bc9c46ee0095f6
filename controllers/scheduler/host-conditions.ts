/** Why machines can start on a host or cannot, and how far it is emptied, as its Host says it. Pure. */
import type { ConditionDraft } from '#lib/api/conditions.ts';
import { annotations } from '#lib/api/names.ts';
import { timestamp } from '#lib/std/clock.ts';
import type { Window } from './drain.ts';
import { isAlive } from './executor-book.ts';
import type { HostInput } from './host-status.ts';
import { storageFault, storageReady } from './host-storage.ts';
import { kvmAvailable } from './kvm.ts';

/** The first that holds stands for the host. */
export function standingOf(input: HostInput): { readonly word: string; readonly message: string } {
  const { agent, drain, host, left, soon, suspect, view, window, nowMs } = input;
  if (!agent?.active) return { word: 'Unreachable', message: awayMessage(window, nowMs) };
  if (drain) return { word: left.length > 0 ? 'Draining' : 'Drained', message: drain.why };
  if (host.spec.unschedulable) return { word: 'Cordoned', message: 'spec.unschedulable is true' };
  if (agent.isDeactivated) return { word: 'Cordoned', message: 'An operator of Mesos has deactivated its agent' };
  if (soon) return { word: 'Maintenance', message: planned(window!) };
  if (suspect) return { word: 'Suspect', message: suspectMessage(suspect) };
  const fault = storageFault(saidBy(input));
  if (fault !== undefined) return { word: 'StorageDown', message: fault };
  if (view?.host.readiness === 'NotInventoried')
    return { word: 'NotInventoried', message: 'What runs there is not known' };
  return { word: 'Ready', message: 'Machines can start there' };
}

export function conditionsOf(input: HostInput): readonly ConditionDraft[] {
  const { word, message } = standingOf(input);
  const reason = word === 'NotInventoried' ? 'HostNotInventoried' : word === 'Drained' ? 'Draining' : word;
  return [
    reachable(input),
    inventoried(input),
    kvmAvailable(input.executor?.heartbeat.facts ?? input.host.status?.facts),
    storageReady(saidBy(input)),
    drainingCondition(input),
    suspectCondition(input),
    ...cleanupCondition(input),
    word === 'Ready'
      ? { type: 'Ready', status: 'True', reason, message }
      : { type: 'Ready', status: 'False', reason, message: `Nothing new starts there: ${message}` },
  ];
}

/** What an executor said that is gone may have been put right since: by a boot, say. */
function saidBy({ executor, monotonicMs }: HostInput) {
  return isAlive(executor, monotonicMs) ? executor.heartbeat : undefined;
}

function reachable({ agent, window, nowMs }: HostInput): ConditionDraft {
  const type = 'Reachable';
  return agent?.active
    ? { type, status: 'True', reason: 'AgentRegistered', message: 'Its Mesos agent is registered' }
    : { type, status: 'False', reason: 'AgentUnreachable', message: awayMessage(window, nowMs) };
}

function awayMessage(window: Window | undefined, nowMs: number): string {
  const isDown = window && nowMs >= window.startMs && nowMs < window.endMs;
  return `No Mesos agent of this host name is connected${isDown ? `. ${planned(window)}` : ''}`;
}

function inventoried({ executor, host, monotonicMs, view }: HostInput): ConditionDraft {
  const type = 'Inventoried';
  if (host.status?.pendingCleanup?.length) {
    const message = 'Machines that were let go may run there; nothing new starts before they are removed';
    return { type, status: 'False', reason: 'CleanupPending', message };
  }
  if (view?.host.readiness === 'NotInventoried') {
    const message = 'Machines there wait to be adopted; nothing new starts';
    return { type, status: 'False', reason: 'ExecutorLost', message };
  }
  const reason = isAlive(executor, monotonicMs) ? 'HeartbeatOK' : 'NothingOfOurs';
  return { type, status: 'True', reason, message: 'What runs there is known' };
}

/** As many as say what is going on. */
const namedMax = 5;

function drainingCondition({ drain, left, noticeMs, refusal, window, nowMs }: HostInput): ConditionDraft {
  const type = 'Draining';
  const mesos = refusal === undefined ? '' : `. Mesos did not do with its agent what it was told: ${refusal}`;
  if (!drain) {
    if (!window || nowMs >= window.endMs)
      return { type, status: 'False', reason: 'NotDraining', message: mesos.slice(2) };
    const message = `${planned(window)}; machines are moved away from ${timestamp(window.startMs - noticeMs)} on`;
    return { type, status: 'False', reason: 'MaintenancePlanned', message };
  }
  if (left.length === 0)
    return { type, status: 'False', reason: 'Drained', message: `${drain.why}. No machine is left${mesos}` };
  const named = left.slice(0, namedMax).map(({ machine, why }) => `${machine}: ${why}`);
  const more = left.length > namedMax ? `; and ${left.length - namedMax} more` : '';
  const until = drain.deadlineMs === undefined ? '' : ` by ${timestamp(drain.deadlineMs)}`;
  const count = `${left.length} ${left.length === 1 ? 'machine has' : 'machines have'} to go${until}`;
  return { type, status: 'True', reason: 'VMsLeft', message: `${drain.why}. ${count}: ${named.join('; ')}${more}` };
}

function planned({ startMs, endMs }: Window): string {
  const until = Number.isFinite(endMs) ? ` to ${timestamp(endMs)}` : '';
  return `Maintenance is planned from ${timestamp(startMs)}${until}`;
}

/** Only on hosts that ever had any. */
function cleanupCondition({ host }: HostInput): readonly ConditionDraft[] {
  const type = 'CleanupPending';
  const all = host.status?.pendingCleanup ?? [];
  if (all.length === 0) {
    const had = host.status?.conditions?.some((condition) => condition.type === type);
    return had ? [{ type, status: 'False', reason: 'Clean', message: '' }] : [];
  }
  const named = all.slice(0, namedMax).map(({ namespace, name }) => `${namespace}/${name}`);
  const more = all.length > namedMax ? ` and ${all.length - namedMax} more` : '';
  const boot = all[0]?.bootID ?? 'BOOT-ID';
  const message =
    `Let go while the host did not answer: ${named.join(', ')}${more}. What is left of them there is removed when it answers; those that were ` +
    `deleted may run until then, and keep their addresses. If nothing of boot ${boot} runs any more, annotate this Host: ${annotations.confirmedDead}=${boot}`;
  return [{ type, status: 'True', reason: 'MachinesForgotten', message }];
}

function suspectCondition({ suspect }: HostInput): ConditionDraft {
  const type = 'Suspect';
  return suspect
    ? { type, status: 'True', reason: 'LaunchesFail', message: suspectMessage(suspect) }
    : { type, status: 'False', reason: 'NotSuspect', message: '' };
}

function suspectMessage({ failures, reason, until }: NonNullable<HostInput['suspect']>): string {
  return `${failures} launches failed one after the other (${reason}): it is left alone until ${timestamp(until)}`;
}
