import { describe, expect, test } from 'vitest';
import type { Heartbeat } from '#lib/api/messages.ts';
import { encodeData } from '#mesos/bytes.ts';
import type { TaskStatus } from '#mesos/types.ts';
import { type ExecutorFact, nextExecutor } from './executor-book.ts';
import { type Attempt, type Evidence, proofOfEnd } from './proof.ts';
import { nextFact, type TaskFact } from './task-book.ts';

const uid = 'u1';
const attempt: Attempt = {
  number: 1,
  cluster: 'lab',
  host: 'h1',
  agentID: 'S1',
  taskID: 'vm-u1-1',
  adopted: false,
  bootID: 'boot-1',
};
const deadMs = 100_000;

function task(state: TaskStatus['state'], more: Partial<TaskStatus> = {}, before?: TaskFact): TaskFact {
  return nextFact(before, { task_id: { value: 'vm-u1-1' }, agent_id: { value: 'S1' }, state, ...more }, deadMs);
}

const running = task('TASK_RUNNING', { source: 'SOURCE_EXECUTOR', uuid: 'x' });
const lost = task('TASK_FAILED', { source: 'SOURCE_AGENT', reason: 'REASON_EXECUTOR_TERMINATED', uuid: 'y' }, running);

interface Seen {
  readonly domains?: readonly string[];
  readonly power?: 'On' | 'Off';
  readonly bootId?: string;
  readonly machines?: Heartbeat['machines'];
  readonly heardMs?: number;
  /** When this run of the worker was first heard of. */
  readonly workerMs?: number;
}

function executor({
  domains = [],
  power = 'On',
  bootId = 'boot-1',
  machines = [],
  heardMs = deadMs + 10_000,
  workerMs = heardMs,
}: Seen): ExecutorFact {
  const from = { hostname: 'h1', agentId: 'S1', executorId: 'ex' };
  const base: Heartbeat = {
    ...{ type: 'heartbeat', version: 1, hostname: 'h1', bootId, sequence: 1, workerId: 'w', executorVersion: '1' },
    ...{ since: '', facts: { hypervisor: 'sim', kvm: false, cpuModel: '' }, machines, operations: [] },
  };
  const inventory = {
    bootId,
    domains: domains.map((name) => ({ uid: name, attempt: 1, power })),
    ...{ foreign: { count: 0, cores: 0, memoryMiB: 0 }, images: [], disks: [] },
  };
  const first = nextExecutor(undefined, from, base, workerMs);
  return nextExecutor(first, from, { ...base, sequence: 2, inventory }, heardMs);
}

function evidence(more: Partial<Evidence>): Evidence {
  const nothing = { task: undefined, executor: undefined, confirmedDead: undefined };
  return {
    ...nothing,
    began: true,
    neverSent: false,
    sentAgain: false,
    isFenced: false,
    hostAgentId: 'S1',
    hostAgentSinceMs: 0,
    ...more,
  };
}

describe('what Mesos says of a task proves nothing about its domain', () => {
  test.each([
    'TASK_FAILED',
    'TASK_GONE',
    'TASK_LOST',
    'TASK_UNREACHABLE',
    'TASK_UNKNOWN',
    'TASK_GONE_BY_OPERATOR',
    'TASK_KILLED',
    'TASK_FINISHED',
    'TASK_DROPPED',
    'TASK_ERROR',
  ] as const)('%s', (state) => {
    expect(proofOfEnd(uid, attempt, evidence({ task: task(state, {}, running) }))).toBeUndefined();
  });

  test('nor does silence', () => {
    expect(proofOfEnd(uid, attempt, evidence({}))).toBeUndefined();
  });
});

describe('an executor that looked', () => {
  const ended = (domainAbsent: boolean, source: 'SOURCE_EXECUTOR' | 'SOURCE_AGENT') => {
    const data = encodeData({ class: 'User', reason: 'Killed', message: '', terminal: false, domainAbsent });
    return evidence({ task: task('TASK_KILLED', { source, data, uuid: 'z' }, running) });
  };
  test.each([
    ['saw no domain', ended(true, 'SOURCE_EXECUTOR'), 'ExecutorSawNoDomain'],
    ['still saw one', ended(false, 'SOURCE_EXECUTOR'), undefined],
    ['is not who spoke', ended(true, 'SOURCE_AGENT'), undefined],
  ])('%s', (_, given, proof) => {
    expect(proofOfEnd(uid, attempt, given)).toBe(proof);
  });

  test('is remembered when a reconciliation answer without data comes later', () => {
    const before = ended(true, 'SOURCE_EXECUTOR').task;
    const after = nextFact(
      before,
      { task_id: { value: 't' }, state: 'TASK_GONE', reason: 'REASON_RECONCILIATION' },
      deadMs + 1,
    );
    expect(proofOfEnd(uid, attempt, evidence({ task: after }))).toBe('ExecutorSawNoDomain');
  });
});

describe('a launch that never ran', () => {
  const dropped = task('TASK_DROPPED', { source: 'SOURCE_MASTER', reason: 'REASON_INVALID_OFFERS' });
  const race = task('TASK_DROPPED', { source: 'SOURCE_AGENT', reason: 'REASON_EXECUTOR_TERMINATED' });
  test.each([
    ['dropped by the master', { task: dropped, began: false }, attempt, 'NeverRan'],
    [
      'refused as wrong',
      { task: task('TASK_ERROR', { reason: 'REASON_TASK_INVALID' }), began: false },
      attempt,
      'NeverRan',
    ],
    [
      'taken out of a queue',
      { task: task('TASK_KILLED', { reason: 'REASON_TASK_KILLED_DURING_LAUNCH' }), began: false },
      attempt,
      'NeverRan',
    ],
    [
      'dropped, but it was sent twice: the other copy may run',
      { task: dropped, began: false, sentAgain: true },
      attempt,
      undefined,
    ],
    ['dropped, but an executor once took it', { task: dropped, began: true }, attempt, undefined],
    ['dropped for a reason that a KILL is answered with, too', { task: race, began: false }, attempt, undefined],
    [
      'dropped while adopting: the domain may run',
      { task: dropped, began: false },
      { ...attempt, adopted: true },
      undefined,
    ],
    ['of which nothing was ever sent', { neverSent: true, began: false }, attempt, 'NeverSent'],
    ['of which nothing was sent while adopting', { neverSent: true }, { ...attempt, adopted: true }, undefined],
  ] as const)('%s', (_, given, of, proof) => {
    expect(proofOfEnd(uid, of, evidence(given))).toBe(proof);
  });
});

describe('an inventory', () => {
  const old = { heardMs: deadMs + 500, workerMs: 1 };
  const report = { uid, attempt: 1, taskId: 't', phase: 'Provisioning', power: 'Off', restarts: 0 } as const;
  test.each([
    ['of a new worker without the machine', executor({}), 'InventoryLacksIt'],
    ['that lists the machine', executor({ domains: [uid] }), undefined],
    ['that may have been under way when the task died', executor(old), undefined],
    ['of the same worker, long after', executor({ ...old, heardMs: deadMs + 2500 }), 'InventoryLacksIt'],
    ['from before the task died', executor({ heardMs: deadMs - 1, workerMs: 1 }), undefined],
    ['while the executor is still making the machine', executor({ machines: [report] }), undefined],
    [
      'of another boot that lists it as off',
      executor({ domains: [uid], power: 'Off', bootId: 'boot-2' }),
      'HostRebooted',
    ],
    ['of another boot that lists it as on', executor({ domains: [uid], bootId: 'boot-2' }), undefined],
  ])('%s', (_, fact, proof) => {
    expect(proofOfEnd(uid, attempt, evidence({ task: lost, executor: fact }))).toBe(proof);
  });

  test('proves nothing while the task may live', () => {
    expect(proofOfEnd(uid, attempt, evidence({ task: running, executor: executor({}) }))).toBeUndefined();
  });

  test('counts when the host has come back as another agent', () => {
    const given = { hostAgentId: 'S9', hostAgentSinceMs: deadMs, executor: executor({}) };
    expect(proofOfEnd(uid, attempt, evidence(given))).toBe('InventoryLacksIt');
  });
});

test.each([
  ['boot-1', 'ConfirmedDead'],
  ['boot-2', undefined],
])('somebody vouches for boot %s', (confirmedDead, proof) => {
  expect(proofOfEnd(uid, attempt, evidence({ confirmedDead }))).toBe(proof);
});

test('a host that must have switched it off by now proves its end, also while Mesos takes the task for living', () => {
  expect(proofOfEnd(uid, attempt, evidence({ task: running }))).toBeUndefined();
  expect(proofOfEnd(uid, attempt, evidence({ task: running, isFenced: true }))).toBe('SelfFenced');
  expect(proofOfEnd(uid, attempt, evidence({ isFenced: true }))).toBe('SelfFenced');
});
