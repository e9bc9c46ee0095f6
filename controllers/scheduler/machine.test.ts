import { describe, expect, test } from 'vitest';
import { conditionOf } from '#lib/api/conditions.ts';
import type { VirtualMachine } from '#lib/api/generated/virtualmachine.ts';
import type { Heartbeat, MachineReport } from '#lib/api/messages.ts';
import { encodeData } from '#mesos/bytes.ts';
import type { TaskStatus } from '#mesos/types.ts';
import { adopting, intended, type MachineStatus, nextNumber } from './attempt.ts';
import type { Eviction } from './drain.ts';
import { type ExecutorFact, nextExecutor } from './executor-book.ts';
import { decide, type Moment } from './machine.ts';
import { policyOrder, specOrder } from './orders.ts';
import type { Evidence } from './proof.ts';
import { nextFact } from './task-book.ts';

const monotonicMs = 1_000_000;
const moment: Moment = { nowMs: Date.parse('2026-01-01T00:00:00Z'), monotonicMs, listeningSinceMs: 0 };
const place = { cluster: 'lab', hostname: 'h1', agentId: 'S1', bootId: undefined };

function machine(spec: Partial<VirtualMachine['spec']> = {}, deleting = false): VirtualMachine {
  return {
    ...{ apiVersion: 'computefactory.io/v1alpha1', kind: 'VirtualMachine' },
    metadata: {
      ...{ name: 'a', namespace: 'default', uid: 'u1', resourceVersion: '7', generation: 2 },
      creationTimestamp: '2026-01-01T00:00:00Z',
      ...(deleting ? { deletionTimestamp: '2026-01-01T00:00:00Z' } : {}),
    },
    spec: {
      ...{ runPolicy: 'Always', image: { name: 'i' }, resources: { cores: 1, memory: '1Gi' }, priority: 0 },
      ...{ terminationGracePeriod: '60s', deleteProtection: false },
      ...spec,
    },
    status: { phase: 'Scheduling' },
  };
}

function launched(vm = machine()): VirtualMachine {
  return { ...vm, status: intended(vm, place, moment.nowMs) };
}

const report = (more: Partial<MachineReport> = {}): MachineReport => ({
  ...{ uid: 'u1', attempt: 1, taskId: 'vm-u1-1', phase: 'Running', power: 'On', restarts: 0 },
  ...more,
});

function executor(machines: readonly MachineReport[], heardMs = monotonicMs, kvm = false): ExecutorFact {
  const heartbeat: Heartbeat = {
    ...{
      type: 'heartbeat',
      version: 1,
      hostname: 'h1',
      bootId: 'boot-1',
      sequence: 1,
      workerId: 'w',
      executorVersion: '1',
    },
    ...{ since: '', facts: { hypervisor: 'libvirt', kvm, cpuModel: '' }, machines, operations: [] },
  };
  return nextExecutor(undefined, { hostname: 'h1', agentId: 'S1', executorId: 'ex' }, heartbeat, heardMs);
}

function evidence(more: Partial<Evidence> = {}): Evidence {
  const nothing = { task: undefined, executor: executor([]), confirmedDead: undefined };
  return {
    ...nothing,
    began: false,
    neverSent: false,
    sentAgain: false,
    isFenced: false,
    hostAgentId: 'S1',
    hostAgentSinceMs: 0,
    ...more,
  };
}

const task = (state: TaskStatus['state'], more: Partial<TaskStatus> = {}) =>
  nextFact(undefined, { task_id: { value: 'vm-u1-1' }, agent_id: { value: 'S1' }, state, ...more }, monotonicMs - 5000);

const look = (vm: VirtualMachine, given: Evidence, at = moment) => decide(vm, vm.status!.attempt!, given, at);

function runningNow(): VirtualMachine {
  const vm = launched();
  const { status } = look(vm, evidence({ task: task('TASK_RUNNING'), executor: executor([report()]) }));
  return { ...vm, status };
}

describe('the phase follows what is known', () => {
  test.each([
    ['nothing heard', undefined, [], 'Launching'],
    ['taken by the executor', 'TASK_STARTING', [], 'Provisioning'],
    ['domain being started', 'TASK_STARTING', [report({ phase: 'Starting' })], 'Starting'],
    ['running for the executor, not yet for Mesos', 'TASK_STARTING', [report()], 'Starting'],
    ['running', 'TASK_RUNNING', [report()], 'Running'],
    ['running, the report is late', 'TASK_RUNNING', [report({ phase: 'Provisioning' })], 'Running'],
    ['running, no report yet', 'TASK_RUNNING', [], 'Running'],
    ['paused', 'TASK_RUNNING', [report({ phase: 'Paused', power: 'Paused' })], 'Paused'],
    ['off, task held', 'TASK_RUNNING', [report({ phase: 'Stopped', power: 'Off' })], 'Stopped'],
    ['a report of an attempt before', 'TASK_RUNNING', [report({ attempt: 0, phase: 'Stopped' })], 'Running'],
  ] as const)('%s', (_, state, reports, phase) => {
    const given = evidence({ task: state && task(state), executor: executor(reports) });
    expect(look(launched(), given).status.phase).toBe(phase);
  });

  test.each([
    ['Always', undefined],
    ['Manual', 'Off'],
  ] as const)('a Stop of before under %s', (runPolicy, requestedPower) => {
    const vm = runningNow();
    const stopped = {
      ...vm,
      spec: { ...vm.spec, runPolicy },
      status: { ...vm.status, requestedPower: 'Off' as const },
    };
    const given = evidence({ task: task('TASK_RUNNING'), executor: executor([report()]) });
    expect(look(stopped, given).status.requestedPower).toBe(requestedPower);
  });

  test('running: conditions, power and the boot under which it began', () => {
    const { status, soft } = look(
      launched(),
      evidence({ task: task('TASK_RUNNING'), executor: executor([report({ restarts: 2 })]) }),
    );
    expect(soft).toBe(false);
    expect(status).toMatchObject({
      power: 'On',
      restarts: { inPlace: 2 },
      attempt: { bootID: 'boot-1' },
      observedGeneration: 2,
    });
    expect(
      Object.fromEntries(status.conditions!.map(({ type, status: is, reason }) => [type, `${is} ${reason}`])),
    ).toEqual({
      ...{ Scheduled: 'True Placed', Launched: 'True Accepted', Reachable: 'True HeartbeatOK' },
      ...{ GuestReady: 'True NoProbe', Ready: 'True Running', Reconciling: 'False AsDeclared' },
      Emulated: 'True NoKVM',
    });
  });

  test('it is emulated on a host without KVM, which its executor says; nothing is said before it is known who runs it', () => {
    const emulated = (given: Partial<Evidence>) =>
      conditionOf({ ...launched(), status: look(launched(), evidence(given)).status }, 'Emulated');
    const running = { task: task('TASK_RUNNING') };
    const slow = emulated({ ...running, executor: executor([report()]) });
    expect(slow).toMatchObject({ status: 'True', reason: 'NoKVM', message: expect.stringMatching(/^Host h1: /) });
    const fast = emulated({ ...running, executor: executor([report()], monotonicMs, true) });
    expect(fast).toMatchObject({ status: 'False', reason: 'KVM' });
    expect(emulated({ ...running, executor: executor([]) })).toBeUndefined();
    expect(emulated({ ...running, executor: executor([report({ attempt: 0 })]) })).toBeUndefined();
  });

  test('it says whether its weight counts on its host, if it has one and the host has told', () => {
    const weighted = (ioWeight: number | undefined, ioWeights: boolean | undefined) => {
      const vm = launched(machine(ioWeight === undefined ? {} : { ioWeight }));
      const known = executor([report()]);
      const facts = { ...known.heartbeat.facts, ...(ioWeights !== undefined && { ioWeights }) };
      const given = { task: task('TASK_RUNNING'), executor: { ...known, heartbeat: { ...known.heartbeat, facts } } };
      return conditionOf({ ...vm, status: look(vm, evidence(given)).status }, 'IOWeighted');
    };
    expect(weighted(300, true)).toMatchObject({ status: 'True', reason: 'Weighted' });
    const message = expect.stringMatching(/host h1 .* ioWeight 300 has no effect/);
    expect(weighted(300, false)).toMatchObject({ status: 'False', reason: 'NoWeights', message });
    for (const untold of [weighted(300, undefined), weighted(undefined, false)]) expect(untold).toBeUndefined();
  });

  test('a machine that runs has used its addresses: no host asks for them again', () => {
    const vm = launched();
    const given = evidence({ task: task('TASK_RUNNING'), executor: executor([report()]) });
    const withNetwork = { ...vm, status: { ...vm.status, networks: [{ ip: '10.0.0.2' }] } };
    expect(look(withNetwork, given).status.networks).toEqual([{ ip: '10.0.0.2', used: true }]);
    expect(look(withNetwork, evidence({ task: task('TASK_STARTING') })).status.networks).toEqual([{ ip: '10.0.0.2' }]);
  });

  test('an address that somebody else has is said in the closed attempt and in NetworkReady', () => {
    const conflict = { subnet: 'net', ip: '10.0.0.2', mac: '02:00:00:00:00:07' };
    const fault = {
      class: 'Infrastructure',
      reason: 'AddressConflict',
      message: 'in use',
      domainAbsent: true,
      conflict,
    };
    const failed = task('TASK_FAILED', { source: 'SOURCE_EXECUTOR', data: encodeData(fault) });
    const { status, ended } = look(launched(), evidence({ began: true, task: failed }));
    expect(ended).toBe(true);
    expect(status.attempts).toMatchObject([{ outcome: 'Failed', reason: 'AddressConflict', conflict }]);
    expect(status.conditions).toContainEqual(
      expect.objectContaining({ type: 'NetworkReady', status: 'False', reason: 'AddressConflict', message: 'in use' }),
    );
  });

  test('what is as it was is written as it was: no write', () => {
    const vm = runningNow();
    const again = look(vm, evidence({ began: true, task: task('TASK_RUNNING'), executor: executor([report()]) }));
    expect(again.status).toEqual(vm.status);
  });

  test('after a restart of ours, what is stored holds until Mesos answers', () => {
    expect(look(runningNow(), evidence({ began: true })).status.phase).toBe('Running');
  });
});

describe('what the executor tells of a machine', () => {
  const told = (
    more: Partial<MachineReport>,
    spec: Partial<VirtualMachine['spec']> = {},
    before: MachineStatus = {},
  ) => {
    const vm = runningNow();
    const stored = { ...vm, spec: { ...vm.spec, ...spec }, status: { ...vm.status, ...before } };
    return look(stored, evidence({ began: true, task: task('TASK_RUNNING'), executor: executor([report(more)]) }));
  };
  const readyOf = (status: MachineStatus) => status.conditions?.find(({ type }) => type === 'Ready');
  const stopped = { phase: 'Stopped', power: 'Off' } as const;

  test('paused by its disk it says so, and no longer once it runs; older executors do not tell why', () => {
    const broken = { phase: 'Paused', power: 'Paused', pausedReason: 'IOError' } as const;
    const { status } = told(broken);
    expect(status).toMatchObject({ phase: 'Paused', pausedReason: 'IOError', displayStatus: 'Paused (IOError)' });
    expect(readyOf(status)).toMatchObject({ status: 'False', message: expect.stringMatching(/disk/) });
    expect(told(broken, {}, status).status).toEqual(status);
    const after = told({}, {}, status).status;
    expect(after).toMatchObject({ phase: 'Running', displayStatus: 'Running' });
    expect(after).not.toHaveProperty('pausedReason');
    const { pausedReason: _, ...untold } = broken;
    expect(told(untold).status).toMatchObject({ phase: 'Paused', displayStatus: 'Paused' });
  });

  test('how it went off last is stored, and under Manual it may stay off', () => {
    const lastEnd = { reason: 'GuestCrashed', message: 'It crashed', time: '2026-01-01T00:00:01Z' } as const;
    const { status } = told({ ...stopped, lastEnd }, { runPolicy: 'Manual' });
    expect(status.lastTermination).toEqual({ class: 'Guest', ...lastEnd });
    expect(readyOf(status)).toMatchObject({ status: 'True', reason: 'StoppedAsDeclared' });
    expect(readyOf(status)?.message).toMatch(/^GuestCrashed: It crashed/);
    const lost = told({ ...stopped, lastEnd: { ...lastEnd, reason: 'HostLost' } }, { runPolicy: 'Manual' });
    expect(lost.status.lastTermination).toMatchObject({ class: 'Infrastructure', reason: 'HostLost' });
  });

  test('stopped by an operation, a machine that runs once is over; others keep their task', () => {
    const off = { requestedPower: 'Off' } as const;
    expect(told(stopped, { runPolicy: 'Once' }, off).kill).toBe(true);
    expect(told({}, { runPolicy: 'Once' }, off).kill).toBe(false);
    expect(told(stopped, { runPolicy: 'Once' }).kill).toBe(false);
    expect(told(stopped, { runPolicy: 'RerunOnFailure' }, off).kill).toBe(false);
    const vm = { ...runningNow(), spec: { ...machine().spec, runPolicy: 'Once' as const } };
    const killed = { class: 'User', reason: 'Killed', message: '', terminal: false, domainAbsent: true };
    const given = evidence({
      began: true,
      task: task('TASK_KILLED', { source: 'SOURCE_EXECUTOR', data: encodeData(killed) }),
    });
    const { status } = look({ ...vm, status: { ...vm.status, ...off } }, given);
    expect(status.attempts).toMatchObject([{ class: 'User', reason: 'StoppedByUser' }]);
  });

  test.each(['NothingToAdopt', 'HostLost'])('an adoption that ends with %s was the loss of its host', (reason) => {
    const end = { class: 'Infrastructure', reason, message: 'm', terminal: false, domainAbsent: true };
    const given = evidence({
      began: true,
      task: task('TASK_FAILED', { source: 'SOURCE_EXECUTOR', data: encodeData(end) }),
    });
    const row = { outcome: 'Lost', class: 'Infrastructure', reason: 'HostLost' };
    expect(look(runningNow(), given).status).toMatchObject({ attempts: [row], lastTermination: { message: 'm' } });
  });
});

describe('a host that does not answer', () => {
  const gone = (given: Partial<Evidence>, at = moment) => look(runningNow(), evidence({ began: true, ...given }), at);
  const reasonOf = (status: MachineStatus) => status.conditions?.find(({ type }) => type === 'Reachable')?.reason;

  test.each([
    ['agent unreachable', { task: task('TASK_UNREACHABLE'), hostAgentId: undefined }, 'AgentUnreachable', undefined],
    ['task dead, no agent', { task: task('TASK_LOST'), hostAgentId: undefined }, 'AgentUnreachable', undefined],
    ['executor silent', { executor: executor([report()], monotonicMs - 61_000) }, 'ExecutorSilent', undefined],
    ['executor lost', { task: task('TASK_FAILED'), executor: undefined }, 'ExecutorSilent', 'adopt'],
    ['another agent on the host', { hostAgentId: 'S9', executor: undefined }, 'ExecutorSilent', 'adopt'],
    ['executor back, no inventory yet', { task: task('TASK_FAILED') }, 'ExecutorSilent', 'inventory'],
  ] as const)('%s', (_, given, reason, repair) => {
    const decision = gone(given);
    expect(decision.status.phase).toBe('Unreachable');
    expect(reasonOf(decision.status)).toBe(reason);
    expect(decision.repair).toBe(repair);
    expect(decision.ended).toBe(false);
  });

  test('comes back as it was', () => {
    const vm = { ...runningNow(), status: gone({ task: task('TASK_UNREACHABLE') }).status };
    const back = look(vm, evidence({ began: true, task: task('TASK_RUNNING'), executor: executor([report()]) }));
    expect(back.status.phase).toBe('Running');
    expect(back.status.attempt).toEqual(vm.status.attempt);
  });
});

describe('repairs', () => {
  test('a launch that the agent never heard of is sent again; one that began is adopted', () => {
    const given = { task: task('TASK_GONE'), executor: undefined };
    expect(look(launched(), evidence(given)).repair).toBe('again');
    expect(look(launched(), evidence({ ...given, began: true })).repair).toBe('adopt');
  });

  test('an adoption is another attempt, numbered on, and the row of the one before says so', () => {
    const vm = runningNow();
    const status = adopting(vm, { ...place, agentId: 'S9' }, moment.nowMs);
    expect(status.attempt).toMatchObject({ number: 2, adopted: true, agentID: 'S9', taskID: 'vm-u1-2' });
    expect(status.attempts).toEqual([
      expect.objectContaining({ number: 1, outcome: 'Adopted', proof: 'AdoptedByNextAttempt' }),
    ]);
    expect(nextNumber(status)).toBe(3);
  });
});

describe('a machine that Mesos calls running and its executor does not tell of', () => {
  const content = { bootId: 'boot-1', foreign: { count: 0, cores: 0, memoryMiB: 0 }, images: [], disks: [] };
  const inventoried = (fact: ExecutorFact, heardMs: number): ExecutorFact => ({
    ...fact,
    inventory: { content: { ...content, domains: [] }, uids: new Map(), heardMs, workerHeardMs: 0 },
  });
  const task5sAgo = task('TASK_RUNNING', { source: 'SOURCE_EXECUTOR' });
  const seen = (fact: ExecutorFact) => look(runningNow(), evidence({ began: true, task: task5sAgo, executor: fact }));

  test('is asked about, then its task is killed: nothing is known of it there', () => {
    expect(seen(executor([]))).toMatchObject({ kill: false, repair: 'inventory', ended: false });
    expect(seen(inventoried(executor([]), monotonicMs - 4000))).toMatchObject({ kill: false, repair: 'inventory' });
    expect(seen(inventoried(executor([]), monotonicMs))).toMatchObject({ kill: true, ended: false });
  });

  test('is left alone while the heartbeat may be older than the task, and on a host that is lost', () => {
    const nothing = { kill: false, repair: undefined };
    const early = seen(inventoried(executor([], monotonicMs - 4000), monotonicMs - 4000));
    expect(early).toMatchObject({ ...nothing, againMs: 4000 });
    expect(seen(inventoried({ ...executor([]), lostMs: monotonicMs }, monotonicMs))).toMatchObject(nothing);
    expect(seen(inventoried({ ...executor([]), agentId: 'S2' }, monotonicMs))).toMatchObject(nothing);
    expect(seen(inventoried(executor([report()]), monotonicMs))).toMatchObject(nothing);
  });
});

describe('a machine that is deleted', () => {
  test('is killed while its task may live, an adopting task not before its executor has it', () => {
    const vm = { ...launched(machine({}, true)) };
    expect(look(vm, evidence()).kill).toBe(true);
    const adopted = { ...vm, status: { ...vm.status, attempt: { ...vm.status!.attempt!, adopted: true } } };
    expect(look(adopted, evidence()).kill).toBe(false);
    expect(look(adopted, evidence({ task: task('TASK_RUNNING') })).kill).toBe(true);
  });

  test('has no live attempt any more once there is proof', () => {
    const vm = launched(machine({}, true));
    const decision = look(vm, evidence({ neverSent: true }));
    expect(decision).toMatchObject({ ended: true, kill: false });
    expect(decision.status.attempt).toBeUndefined();
    expect(decision.status.phase).toBe('Terminating');
  });
});

test('a launch that was dropped goes back to Scheduling in the write that closes it', () => {
  const { status } = look(launched(), evidence({ task: task('TASK_DROPPED', { reason: 'REASON_INVALID_OFFERS' }) }));
  expect(status).toMatchObject({
    phase: 'Scheduling',
    lastTermination: { class: 'Infrastructure', reason: 'LaunchDropped' },
  });
});

describe('what the spec says of power', () => {
  const since = '1970-01-01T00:00:07Z';
  const settled = (runPolicy: VirtualMachine['spec']['runPolicy'], power: 'On' | 'Off', at = since): VirtualMachine => {
    const vm = runningNow();
    const phase = power === 'On' ? 'Running' : 'Stopped';
    return {
      ...vm,
      spec: { ...vm.spec, runPolicy },
      status: { ...vm.status, phase, power, phaseTransitions: { [phase]: at } },
    };
  };
  test.each([
    ['Halted', 'On', 'spec-u1-2-Stop-7'],
    ['Halted', 'Off', undefined],
    ['Always', 'Off', 'spec-u1-2-Start-7'],
    ['Always', 'On', undefined],
    ['Manual', 'Off', undefined],
    ['Once', 'On', undefined],
  ] as const)('%s, and it is %s', (runPolicy, power, id) => {
    expect(specOrder(settled(runPolicy, power))?.id).toBe(id);
  });

  test('Halted, and it is paused: it is stopped', () => {
    const vm = settled('Halted', 'On');
    const status = { ...vm.status, phase: 'Paused', power: 'Paused', phaseTransitions: { Paused: since } } as const;
    expect(specOrder({ ...vm, status })?.operation).toBe('Stop');
  });

  test('a machine whose guest turns itself off again is started again: that is another order', () => {
    const [first, again] = [since, '1970-01-01T00:00:09Z'].map((at) => specOrder(settled('Always', 'Off', at)));
    expect(first!.id).not.toBe(again!.id);
    expect(specOrder(settled('Always', 'Off'))!.id).toBe(first!.id);
  });
});

describe('what the host is told of a runPolicy', () => {
  const restart = { onGuestShutdown: 'Restart', onGuestCrash: 'Restart' } as const;
  const once = { ...runningNow(), spec: { ...machine().spec, runPolicy: 'Once' as const } };
  test.each([
    ['Always, as launched', runningNow(), report({ policy: restart }), undefined],
    ['Once since', once, report({ policy: restart }), { onGuestShutdown: 'Finish', onGuestCrash: 'Fail' }],
    ['an executor that would not understand', once, report(), undefined],
    ['a report of an attempt before', once, report({ attempt: 0, policy: restart }), undefined],
    ['no report', once, undefined, undefined],
  ] as const)('%s', (_, vm, told, expected) => {
    const order = policyOrder(vm, told);
    if (expected) expect(order).toEqual({ type: 'policy', version: 1, uid: 'u1', attempt: 1, ...expected });
    else expect(order).toBeUndefined();
  });
});

describe('a machine that is to leave its host', () => {
  const eviction: Eviction = {
    ...{ reason: 'HostDrain', state: 'Evicting', message: 'The host is drained', deadlineMs: undefined },
    ...{ graceMs: undefined, againMs: undefined },
  };
  const inform = evidence({ began: true, task: task('TASK_RUNNING'), executor: executor([report()]) });
  const ends = (state: TaskStatus['state'], termination: object, more: Partial<TaskStatus> = {}) =>
    evidence({
      began: true,
      task: task(state, {
        source: 'SOURCE_EXECUTOR',
        data: encodeData({ domainAbsent: true, ...termination }),
        ...more,
      }),
    });
  const killed = { class: 'User', reason: 'Killed', message: 'Killed as ordered' };
  const lookFor = (vm: VirtualMachine, given: Evidence, wanted?: Eviction) =>
    decide(vm, vm.status!.attempt!, given, moment, wanted);

  test('says so while it waits, and is not touched', () => {
    const { status, kill, againMs } = lookFor(runningNow(), inform, { ...eviction, state: 'Waiting', againMs: 500 });
    expect({ kill, againMs }).toEqual({ kill: false, againMs: 500 });
    expect(status).toMatchObject({ displayStatus: 'Running', attempt: { drain: { state: 'Waiting' } } });
    expect(status.conditions).toContainEqual(
      expect.objectContaining({ type: 'Draining', status: 'False', reason: 'Waiting' }),
    );
  });

  test('is killed with its grace, and its end is nobody’s failure', () => {
    const vm = runningNow();
    const { status, kill, graceMs, soft } = lookFor(vm, inform, { ...eviction, graceMs: 7 });
    expect({ kill, graceMs, soft }).toEqual({ kill: true, graceMs: 7, soft: false });
    expect(status).toMatchObject({ displayStatus: 'Draining', phase: 'Running' });
    const ended = lookFor({ ...vm, status }, ends('TASK_KILLED', killed), eviction);
    expect(ended.status).toMatchObject({
      attempts: [{ outcome: 'Killed', class: 'Preempted', reason: 'HostDrain', proof: 'ExecutorSawNoDomain' }],
      lastTermination: { message: 'The host is drained' },
    });
    expect(ended.status.conditions).toContainEqual(
      expect.objectContaining({ type: 'Draining', status: 'False', reason: 'NotDraining' }),
    );
  });

  test('reads as before when the drain is taken back in time', () => {
    const vm = runningNow();
    const { status } = lookFor(vm, inform, { ...eviction, state: 'Waiting' });
    const { status: after, kill } = lookFor({ ...vm, status }, inform);
    expect(kill).toBe(false);
    expect(after.attempt).toEqual(vm.status?.attempt);
  });

  test('is not asked to go while it is being deleted, and its end is the user’s', () => {
    const vm = { ...runningNow(), metadata: machine({}, true).metadata };
    expect(lookFor(vm, inform, { ...eviction, state: 'Waiting' })).toMatchObject({ kill: true });
    expect(lookFor(vm, ends('TASK_KILLED', killed), eviction).status.attempts?.at(-1)?.class).toBe('User');
  });

  test.each([
    ['by Mesos, which drains the agent', 'REASON_AGENT_DRAINING', 'PartnerReclaim'],
    ['by an agent of before v1', 'REASON_SLAVE_DRAINING', 'PartnerReclaim'],
    ['by somebody else', undefined, 'Killed'],
  ])('killed %s was preempted', (_name, reason, expected) => {
    const given = ends('TASK_KILLED', killed, reason === undefined ? {} : { reason });
    expect(lookFor(runningNow(), given).status.attempts?.at(-1)).toMatchObject({
      class: 'Preempted',
      reason: expected,
    });
  });

  test('a guest that ended meanwhile has ended by itself', () => {
    const vm = runningNow();
    const { status } = lookFor(vm, inform, eviction);
    const given = ends('TASK_FINISHED', { class: 'Guest', reason: 'GuestShutdown', message: '' });
    expect(lookFor({ ...vm, status }, given, eviction).status.attempts?.at(-1)).toMatchObject({ class: 'Guest' });
  });
});

describe('what is heard of the guest', () => {
  const agent = {
    ...{ connected: true, version: '7.2', os: 'Debian 12', hostname: 'web' },
    addresses: [{ mac: '52:54:00:00:00:01', ips: ['10.0.0.5', '2001:db8::5'] }],
  } as const;
  const network = { subnet: 's', mac: '52:54:00:00:00:01', used: true };
  const withNetwork = () => {
    const vm = runningNow();
    return { ...vm, status: { ...vm.status, networks: [network] } };
  };
  const hears = (vm: VirtualMachine, heard: Partial<MachineReport>): VirtualMachine => {
    const given = evidence({ task: task('TASK_RUNNING'), executor: executor([report(heard)]) });
    return { ...vm, status: look(vm, given).status };
  };
  const says = (vm: VirtualMachine, type: string) => {
    const { status, reason } = conditionOf(vm, type) ?? {};
    return status && `${status} ${reason}`;
  };

  test('its agent is shown while it answers; what the guest is stays known', () => {
    const heard = hears(withNetwork(), { agent });
    expect(heard.status).toMatchObject({
      guestAgent: { version: '7.2' },
      osInfo: { name: 'Debian 12', hostname: 'web' },
    });
    expect(heard.status?.networks).toEqual([{ ...network, guestIPs: ['10.0.0.5', '2001:db8::5'] }]);
    expect(says(heard, 'GuestAgentConnected')).toBe('True AgentPing');
    expect(hears(heard, { agent }).status).toEqual(heard.status);
    // Another worker has not asked yet.
    expect(hears(heard, {}).status?.guestAgent).toEqual({ version: '7.2' });
    for (const gone of [{ agent: { connected: false } }, { phase: 'Stopped', power: 'Off' }] as const) {
      const { status } = hears(heard, gone);
      expect(status).toMatchObject({ osInfo: { name: 'Debian 12' }, networks: [network] });
      expect(status).not.toHaveProperty('guestAgent');
      expect(says({ ...heard, status: status! }, 'GuestAgentConnected')).toBe('False Booting');
    }
  });

  describe('on a network whose addresses the site gives', () => {
    const mac = '52:54:00:00:00:01';
    const outside = { subnet: 's', mac, ipam: 'External', cidr: '10.0.0.0/24' } as const;
    const saying = (...ips: string[]) => ({ agent: { ...agent, addresses: [{ mac, ips }] } });
    const machineThere = () => {
      const vm = runningNow();
      return { ...vm, status: { ...vm.status, networks: [outside] } };
    };
    const shown = ({ status }: VirtualMachine) => [status?.ip, status?.networks?.[0]?.ip];

    test('the address is what the agent says of its MAC, while it says so', () => {
      const heard = hears(machineThere(), saying('10.0.0.5', '2001:db8::5'));
      expect(heard.status?.networks).toEqual([{ ...outside, ip: '10.0.0.5', guestIPs: ['10.0.0.5', '2001:db8::5'] }]);
      expect(heard.status?.ip).toBe('10.0.0.5');
      expect(hears(heard, saying('10.0.0.5', '2001:db8::5')).status).toEqual(heard.status);
      expect(shown(hears(heard, saying('10.0.0.6')))).toEqual(['10.0.0.6', '10.0.0.6']);
      const other = { agent: { ...agent, addresses: [{ mac: '52:54:00:00:00:02', ips: ['10.0.0.7'] }] } };
      // Another worker has not asked yet.
      expect(shown(hears(heard, {}))).toEqual(['10.0.0.5', '10.0.0.5']);
      const off = { phase: 'Stopped', power: 'Off' } as const;
      const nothing = { agent: { ...agent, addresses: [] } };
      for (const gone of [nothing, other, { agent: { connected: false } }, off] as const) {
        const { status } = hears(heard, gone);
        expect(status?.networks).toEqual([outside]);
        expect(status).not.toHaveProperty('ip');
      }
    });

    test('of several it is one of the Subnet’s network, and stays the same', () => {
      const heard = hears(machineThere(), saying('10.0.0.7', '172.17.0.1'));
      expect(shown(hears(machineThere(), saying('172.17.0.1')))).toEqual([undefined, undefined]);
      expect(shown(hears(heard, saying('10.0.0.6', '10.0.0.7')))).toEqual(['10.0.0.7', '10.0.0.7']);
    });

    test('goes with the attempt', () => {
      const fault = { class: 'Guest', reason: 'GuestCrashed', message: 'crashed', domainAbsent: true };
      const failed = task('TASK_FAILED', { source: 'SOURCE_EXECUTOR', data: encodeData(fault) });
      const heard = hears(machineThere(), saying('10.0.0.5'));
      const { status, ended } = look(heard, evidence({ began: true, task: failed }));
      expect([ended, status.networks]).toEqual([true, [outside]]);
      expect(status).not.toHaveProperty('ip');
    });
  });

  test('nothing is written of an agent that was never heard', () => {
    const vm = withNetwork();
    expect(hears(vm, { agent: { connected: false } }).status).toEqual(hears(vm, {}).status);
  });

  const probe = { initialDelay: '0s', period: '10s', timeout: '5s', successThreshold: 1, failureThreshold: 3 };
  test.each([
    ['the agent', { guestAgent: true, ...probe }, 'AgentPing'],
    ['a command', { exec: { command: ['true'] }, ...probe }, 'ProbeSucceeded'],
  ])('a machine with a probe of %s is ready when that says so', (_, readiness, reason) => {
    const vm = launched(machine({ probes: { readiness } }));
    const running = hears(vm, {});
    expect([says(running, 'GuestReady'), running.status?.displayStatus]).toEqual(['False Booting', 'Booting']);
    expect(says(running, 'Ready')).toBe('True Running');
    const ready = hears(running, { readiness: { ready: true, message: '' } });
    expect([says(ready, 'GuestReady'), ready.status?.displayStatus]).toEqual([`True ${reason}`, 'Running']);
    // Another worker has not tried yet.
    expect(hears(ready, {}).status).toEqual(ready.status);
    const failed = hears(ready, { readiness: { ready: false, message: 'no database' } });
    expect([says(failed, 'GuestReady'), failed.status?.displayStatus]).toEqual(['False ProbeFailed', 'NotReady']);
    expect(conditionOf(failed, 'GuestReady')?.message).toBe('no database');
    expect(says(hears(failed, { phase: 'Stopped', power: 'Off' }), 'GuestReady')).toBe('False Booting');
  });

  test('a machine with a probe of startup is not ready before it has started; why it was restarted is its last end', () => {
    const startup = { tcp: { port: 22 }, ...probe };
    const vm = launched(machine({ probes: { startup } }));
    const ready = hears(vm, { readiness: { ready: true, message: 'The guest has started' } });
    expect([says(hears(vm, {}), 'GuestReady'), says(ready, 'GuestReady')]).toEqual([
      'False Booting',
      'True ProbeSucceeded',
    ]);
    const lastEnd = { reason: 'StartupTimeout', message: 'no answer', time: '2026-01-01T00:00:00Z' } as const;
    expect(hears(ready, { lastEnd }).status?.lastTermination).toEqual({ class: 'Guest', ...lastEnd });
  });
});
