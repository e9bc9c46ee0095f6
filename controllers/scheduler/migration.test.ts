/** Every evidence of both hosts, and what it makes of a machine that is being moved. */
import { describe, expect, test } from 'vitest';
import type { VirtualMachine } from '#lib/api/generated/virtualmachine.ts';
import type { Termination } from '#lib/api/launch.ts';
import type { Heartbeat, Inventory, MachineReport, MigrationReport } from '#lib/api/messages.ts';
import { timestamp } from '#lib/std/clock.ts';
import { encodeData } from '#mesos/bytes.ts';
import type { TaskState, TaskStatus } from '#mesos/types.ts';
import { intended, type MachineStatus, nextNumber } from './attempt.ts';
import { begunEviction, evicting } from './drain.ts';
import { type ExecutorFact, nextExecutor } from './executor-book.ts';
import { decide, type Moment } from './machine.ts';
import { decideMigration, type LastMigration, moving, type Step, type Telling, toBeTold } from './migration.ts';
import { isOver } from './orphans.ts';
import type { Evidence } from './proof.ts';
import { nextFact, type TaskFact } from './task-book.ts';
import { machine } from './testing/machines.ts';

const uid = 'a';
const monotonicMs = 1_000_000;
const nowMs = Date.parse('2026-01-01T00:00:00Z');
const moment: Moment = { nowMs, monotonicMs, listeningSinceMs: 0 };
const deadlineMs = nowMs + 300_000;
const taskDiedMs = monotonicMs - 60_000;
const hour = 3_600_000;

function movingNow(more: Partial<VirtualMachine['spec']> = {}): VirtualMachine {
  const made = machine(uid, { spec: more });
  const place = { cluster: 'lab', hostname: 'h1', agentId: 'S1', bootId: 'boot-h1' };
  const launched = { ...made, status: intended(made, place, nowMs) };
  const running: VirtualMachine = { ...made, status: { ...launched.status, phase: 'Running', power: 'On' } };
  const there = { cluster: 'lab', hostname: 'h2', agentId: 'S2', bootId: 'boot-h2' };
  const wish = { id: 'm', reason: 'Operation', operation: 'op', deadlineMs } as const;
  return { ...running, status: moving(running, there, wish, nowMs) };
}

type Side = 'h1' | 'h2';
const numberOn = { h1: 1, h2: 2 } as const;

function report(side: Side, migration?: MigrationReport['state'], more: Partial<MachineReport> = {}): MachineReport {
  const attempt = numberOn[side];
  return {
    ...{ uid, attempt, taskId: `vm-${uid}-${attempt}`, phase: 'Running', power: 'On', restarts: 0 },
    ...(migration && { migration: { id: 'm', state: migration, message: 'The network broke' } }),
    ...more,
  };
}

interface Seen {
  readonly reports?: readonly MachineReport[];
  readonly domains?: Inventory['domains'];
  /** Heard so long ago. */
  readonly silentMs?: number;
}

function executor(side: Side, { reports = [], domains, silentMs = 0 }: Seen): ExecutorFact {
  const from = { hostname: side, agentId: side === 'h1' ? 'S1' : 'S2', executorId: 'ex' };
  const bootId = `boot-${side}`;
  const heartbeat: Heartbeat = {
    ...{ type: 'heartbeat', version: 1, hostname: side, bootId, sequence: 1, workerId: 'w', executorVersion: '1' },
    ...{ since: '', facts: { hypervisor: 'sim', kvm: false, cpuModel: '' }, machines: reports, operations: [] },
    ...(domains && {
      inventory: { bootId, domains, foreign: { count: 0, cores: 0, memoryMiB: 0 }, images: [], disks: [] },
    }),
  };
  return nextExecutor(undefined, from, heartbeat, monotonicMs - silentMs);
}

function task(side: Side, state: TaskState, more: Partial<TaskStatus> = {}): TaskFact {
  const ids = { task_id: { value: `vm-${uid}-${numberOn[side]}` }, agent_id: { value: side === 'h1' ? 'S1' : 'S2' } };
  return nextFact(undefined, { ...ids, state, source: 'SOURCE_EXECUTOR', ...more }, taskDiedMs);
}

function ended(side: Side, state: TaskState, reason: string, by: Termination['class'] = 'Infrastructure'): TaskFact {
  const termination: Termination = { class: by, reason, message: 'As it says', terminal: false, domainAbsent: true };
  return task(side, state, { data: encodeData(termination) });
}

const evidence = (side: Side, more: Partial<Evidence> = {}): Evidence => ({
  ...{ began: side === 'h1', neverSent: false, sentAgain: false, isFenced: false, confirmedDead: undefined },
  ...{ task: task(side, side === 'h1' ? 'TASK_RUNNING' : 'TASK_STARTING') },
  executor: executor(side, { reports: [side === 'h1' ? report('h1') : report('h2', 'Receiving', provisioning)] }),
  hostAgentId: side === 'h1' ? 'S1' : 'S2',
  hostAgentSinceMs: 0,
  ...more,
});
const conditionOf = ({ status }: Pick<Step, 'status'>, type: string) =>
  status.conditions?.find((condition) => condition.type === type);
const provisioning = { phase: 'Provisioning', power: 'Paused' } as const;
const says = (side: Side, ...given: readonly MachineReport[]) => ({ executor: executor(side, { reports: given }) });
const lostTask = (side: Side) =>
  task(side, 'TASK_FAILED', { source: 'SOURCE_AGENT', reason: 'REASON_EXECUTOR_TERMINATED' });

interface Case {
  readonly here?: Partial<Evidence>;
  readonly there?: Partial<Evidence>;
  readonly vm?: VirtualMachine;
  readonly cancel?: string;
  readonly at?: Moment;
}

function step({ here, there, vm = movingNow(), cancel, at = moment }: Case): Step {
  return decideMigration(vm, { source: evidence('h1', here), destination: evidence('h2', there) }, cancel, at);
}

const deleted = (): VirtualMachine => {
  const vm = movingNow();
  return { ...vm, metadata: { ...vm.metadata, deletionTimestamp: timestamp(nowMs) } };
};

describe('the guest is the destination’s', () => {
  const migratedHere = ended('h1', 'TASK_FINISHED', 'Migrated');
  const cases: readonly (readonly [string, Case, string])[] = [
    ['it says that it runs there', { there: says('h2', report('h2')) }, 'TakenOver'],
    [
      'it says that it is paused there',
      { there: says('h2', report('h2', undefined, { phase: 'Paused' })) },
      'TakenOver',
    ],
    ['Mesos says so', { there: { task: task('h2', 'TASK_RUNNING'), executor: undefined } }, 'TakenOver'],
    [
      'it ran there, and ended as a guest does, before anybody looked',
      { there: { task: ended('h2', 'TASK_FINISHED', 'GuestShutdown', 'Guest'), ...says('h2') } },
      'TakenOver',
    ],
    [
      'its executor is lost, and what it found there runs',
      {
        there: {
          task: lostTask('h2'),
          executor: executor('h2', { domains: [{ uid, attempt: 2, power: 'On' }] }),
        },
      },
      'TakenOver',
    ],
    ['the source says that it handed it over', { here: { task: migratedHere, ...says('h1') } }, 'ExecutorSawNoDomain'],
    [
      'the source says so, and the destination is gone since',
      {
        here: { task: migratedHere, ...says('h1') },
        there: { task: lostTask('h2'), executor: executor('h2', { domains: [] }) },
      },
      'ExecutorSawNoDomain',
    ],
    [
      'the source was switched off and on, and the destination is silent',
      { here: { task: lostTask('h1'), executor: executor('h1', { domains: [] }) }, there: { executor: undefined } },
      'InventoryLacksIt',
    ],
    [
      'somebody vouches that the source is dead, and the destination’s executor is lost',
      { here: { confirmedDead: 'boot-h1' }, there: { task: lostTask('h2'), executor: undefined } },
      'ConfirmedDead',
    ],
    [
      'the source has switched it off by itself, and the destination was heard too long ago',
      {
        here: { isFenced: true },
        there: { executor: executor('h2', { reports: [report('h2', 'Receiving', provisioning)], silentMs: hour }) },
      },
      'SelfFenced',
    ],
    ['although it is being deleted', { vm: deleted(), there: says('h2', report('h2')) }, 'TakenOver'],
  ];
  test.each(cases)('%s', (_, given, proof) => {
    const next = step(given);
    expect(next).toMatchObject({ type: 'Swap', proof });
    expect(next.status).toMatchObject({
      ...{ phase: 'Running', displayStatus: given.vm ? 'Terminating' : 'Running' },
      attempt: { number: 2, host: 'h2', agentID: 'S2', taskID: 'vm-a-2', adopted: false, bootID: 'boot-h2' },
      attempts: [{ number: 1, host: 'h1', outcome: 'Migrated', class: 'Infrastructure', proof }],
      lastMigration: { id: 'm', number: 2, from: 1, outcome: 'Completed', operation: 'op', fromHost: 'h1', host: 'h2' },
    });
    expect(next.status.migration).toBeUndefined();
    expect(conditionOf(next, 'Migrating')).toMatchObject({ status: 'False', reason: 'Moved' });
  });

  test('of which nobody there has spoken is launched like any that is not known to have begun', () => {
    const given = { here: { confirmedDead: 'boot-h1' }, there: { task: undefined, executor: undefined } };
    expect(conditionOf(step(given), 'Launched')).toMatchObject({ status: 'Unknown' });
    const begun = { here: { confirmedDead: 'boot-h1' }, there: { executor: undefined } };
    expect(conditionOf(step(begun), 'Launched')?.status).not.toBe('False');
  });
});

describe('it came to nothing', () => {
  const refused = { task: ended('h2', 'TASK_FAILED', 'MigrationRefused'), ...says('h2') };
  const cases: readonly (readonly [string, Case, string, RegExp])[] = [
    ['the destination gave it up', { there: refused }, 'ExecutorSawNoDomain', /As it says/],
    [
      'it did, while all was sent',
      { there: refused, here: says('h1', report('h1', 'Undecided')) },
      'ExecutorSawNoDomain',
      /As it says/,
    ],
    [
      'the destination could not make it ready',
      { there: { task: ended('h2', 'TASK_FAILED', 'ImageMissing', 'Configuration'), ...says('h2') } },
      'ExecutorSawNoDomain',
      /As it says/,
    ],
    [
      'the executor there is lost, and another has found nothing',
      { there: { task: lostTask('h2'), executor: executor('h2', { domains: [] }) } },
      'InventoryLacksIt',
      /Nothing of it is on host h2 \(InventoryLacksIt\)/,
    ],
    ['somebody vouches that the destination is dead', { there: { confirmedDead: 'boot-h2' } }, 'ConfirmedDead', /h2/],
    [
      'both are gone: the source’s attempt is closed as any',
      { there: refused, here: { confirmedDead: 'boot-h1' } },
      'ExecutorSawNoDomain',
      /As it says/,
    ],
    [
      'the source keeps it, and the destination does not answer',
      { here: says('h1', report('h1', 'Failed')), there: { executor: executor('h2', { silentMs: 90_000 }) } },
      'KeptBySource',
      /The network broke/,
    ],
  ];
  test.each(cases)('%s', (_, given, proof, message) => {
    const next = step(given);
    expect(next).toMatchObject({ type: 'Over', proof });
    expect(next.status).toMatchObject({
      ...{ phase: 'Running', displayStatus: 'Running', attempt: { number: 1, host: 'h1' } },
      lastMigration: { outcome: 'Failed', message: expect.stringMatching(message), failures: 1, operation: 'op' },
    });
    expect(next.status.migration).toBeUndefined();
    expect(next.status.attempts).toBeUndefined();
    expect(conditionOf(next, 'Migrating')).toMatchObject({ status: 'False', reason: 'Failed' });
    // Its number does not come again, and is no riddle where it shows.
    expect(nextNumber(next.status)).toBe(3);
    expect(isOver({ ...movingNow(), status: next.status }, 2)).toBe(true);
    expect(isOver({ ...movingNow(), status: next.status }, 1)).toBe(false);
  });

  test('nothing was sent: its place is looked for again, and its number is free', () => {
    const next = step({ there: { neverSent: true, task: undefined, executor: undefined } });
    expect(next).toMatchObject({ type: 'Over', proof: 'NeverSent' });
    expect(next.status.lastMigration).toBeUndefined();
    expect(nextNumber(next.status)).toBe(2);
  });

  test('Mesos took the offer back: the operation may try again', () => {
    const dropped = task('h2', 'TASK_ERROR', { source: 'SOURCE_MASTER', reason: 'REASON_INVALID_OFFERS' });
    const next = step({ there: { task: dropped, executor: undefined } });
    expect(next).toMatchObject({ type: 'Over', proof: 'NeverRan' });
    expect(next.status.lastMigration).toMatchObject({ number: 2, outcome: 'Failed' });
    expect(next.status.lastMigration?.operation).toBeUndefined();
  });

  test('failures of one attempt are counted', () => {
    const vm = movingNow();
    const before = { ...vm, status: { ...vm.status, lastMigration: { from: 1, failures: 2 } as LastMigration } };
    expect(step({ vm: before, there: refused }).status.lastMigration?.failures).toBe(3);
    const other = { ...vm, status: { ...vm.status, lastMigration: { from: 0, failures: 2 } as LastMigration } };
    expect(step({ vm: other, there: refused }).status.lastMigration?.failures).toBe(1);
  });
});

describe('it goes on', () => {
  const nothing: Telling = { send: false, endSource: false, endDestination: false, look: false, kill: false };
  const both: Telling = { ...nothing, endSource: true, endDestination: true };
  const late: Moment = { ...moment, nowMs: deadlineMs };
  const unheard = { task: undefined, executor: undefined };
  const halted = movingNow({ runPolicy: 'Halted' });
  const cases: readonly (readonly [string, Case, Telling, RegExp])[] = [
    ['nobody there has spoken', { there: unheard }, nothing, /Host h2 prepares/],
    [
      'the destination makes it ready',
      { there: says('h2', report('h2', undefined, provisioning)) },
      nothing,
      /prepares/,
    ],
    ['the destination receives: the source is told', {}, { ...nothing, send: true }, /ready to take it over/],
    [
      'it is paused there until all of it has come',
      { there: says('h2', report('h2', 'Receiving', { phase: 'Paused', power: 'Paused' })) },
      { ...nothing, send: true },
      /ready to take it over/,
    ],
    [
      'its executor is lost, and what receives was found there',
      {
        there: { task: lostTask('h2'), executor: executor('h2', { domains: [{ uid, attempt: 2, power: 'Paused' }] }) },
      },
      { ...nothing, look: true },
      /prepares/,
    ],
    [
      'the destination has refused it, and removes what it had prepared',
      { there: says('h2', report('h2', undefined, { phase: 'Stopping', power: 'Off' })) },
      nothing,
      /prepares/,
    ],
    ['the source sends', { here: says('h1', report('h1', 'Sending')) }, nothing, /is sent to host h2/],
    ['all was sent', { here: says('h1', report('h1', 'Undecided')) }, nothing, /has not said yet/],
    ['the source is silent', { here: { executor: undefined } }, nothing, /ready/],
    [
      'all was sent, and the destination cannot be asked',
      {
        here: says('h1', report('h1', 'Undecided')),
        there: { task: task('h2', 'TASK_UNREACHABLE'), executor: undefined },
      },
      nothing,
      /has not said yet/,
    ],
    [
      'the destination’s task is dead, and nobody has looked',
      { there: { task: lostTask('h2'), executor: undefined } },
      { ...nothing, look: true },
      /prepares/,
    ],
    ['the destination’s executor names it no more', { there: says('h2') }, { ...nothing, look: true }, /prepares/],
    [
      'nor does what it found: its journal is lost',
      { there: { executor: executor('h2', { domains: [] }) } },
      { ...nothing, kill: true },
      /prepares/,
    ],
    ['its time is over', { at: late }, both, /Given up: It was not on host h2 by/],
    [
      'its time is over while all was sent',
      { at: late, here: says('h1', report('h1', 'Undecided')) },
      both,
      /Given up/,
    ],
    ['it is deleted', { vm: deleted() }, both, /Given up: The machine is being deleted/],
    ['it is to be off', { vm: halted }, both, /runPolicy: Halted/],
    ['nobody wants it any more', { cancel: 'Nobody does' }, both, /Given up: Nobody does/],
    [
      'the source could not send it',
      { here: says('h1', report('h1', 'Failed')) },
      { ...nothing, endDestination: true },
      /Given up: The network broke/,
    ],
    [
      'the source is gone, and the destination waits for it: the disk is at the source',
      { here: { confirmedDead: 'boot-h1' } },
      { ...nothing, endDestination: true },
      /Given up: It is gone from host h1, where it ran \(ConfirmedDead\)/,
    ],
    [
      'the source’s executor is lost, and nobody has looked: nobody sends it any more',
      { here: { task: lostTask('h1'), executor: undefined } },
      { ...nothing, endDestination: true },
      /Given up: The executor of host h1 was lost/,
    ],
    [
      'the source is gone, and the destination removes what it had prepared',
      {
        here: { confirmedDead: 'boot-h1' },
        there: says('h2', report('h2', undefined, { phase: 'Stopping', power: 'Off' })),
      },
      { ...nothing, endDestination: true },
      /Given up: It is gone from host h1/,
    ],
    [
      'the source is gone, and the destination’s executor names it no more, or not yet',
      { here: { confirmedDead: 'boot-h1' }, there: says('h2') },
      { ...nothing, endDestination: true, look: true },
      /Given up: It is gone from host h1/,
    ],
    [
      'a former migration failed at the source',
      { here: says('h1', report('h1', undefined, { migration: { id: 'other', state: 'Failed', message: '' } })) },
      nothing,
      /ready/,
    ],
  ];
  test.each(cases)('%s', (name, given, telling, message) => {
    const next = step(given);
    const isOther = name.startsWith('a former');
    expect(next).toMatchObject({ type: 'Open', telling: isOther ? { ...telling, send: true } : telling });
    expect(conditionOf(next, 'Migrating')).toMatchObject({ status: 'True', message: expect.stringMatching(message) });
    expect(next.status).toMatchObject({ attempt: { number: 1, host: 'h1' }, migration: { id: 'm', number: 2 } });
    // Looked at again with the same evidence it says the same, and nothing is written.
    const again = { ...(given.vm ?? movingNow()), status: next.status };
    expect(step({ ...given, vm: again }).status).toEqual(next.status);
  });

  test('what was given up stays so when the reason is gone', () => {
    const given = step({ cancel: 'Nobody does' });
    expect(step({ vm: { ...movingNow(), status: given.status } })).toMatchObject({ telling: both });
  });
});

describe('a machine on its way, as its attempt is looked at', () => {
  const lookAt = (vm: VirtualMachine, here: Evidence) => decide(vm, vm.status!.attempt!, here, moment);

  test('runs for its user while it stands at the source', () => {
    const standing = report('h1', 'Undecided', { phase: 'Paused', power: 'Paused' });
    const { status } = lookAt(movingNow(), evidence('h1', says('h1', standing)));
    expect(status).toMatchObject({ phase: 'Running', power: 'On', displayStatus: 'Migrating' });
    expect(conditionOf({ status }, 'Ready')).toMatchObject({ status: 'True' });
  });

  test('is not killed, taken over or launched before it is certain who has it', () => {
    const leaving = evicting(movingNow(), 'Preemption', 'Its room is needed', nowMs);
    const vm = { ...movingNow(), status: leaving };
    const wanted = begunEviction(vm, leaving.attempt!);
    const lookAgain = (status: MachineStatus) =>
      decide({ ...vm, status }, leaving.attempt!, evidence('h1'), moment, wanted);
    expect(lookAgain(leaving).kill).toBe(false);
    const { migration: _, ...rest } = leaving;
    expect(lookAgain(rest).kill).toBe(true);
    const dead = evidence('h1', {
      task: lostTask('h1'),
      executor: executor('h1', { domains: [{ uid, attempt: 1, power: 'On' }] }),
    });
    expect(lookAt(movingNow(), dead).repair).toBe('inventory');
    const { migration: __, ...settled } = movingNow().status!;
    expect(lookAt({ ...movingNow(), status: settled }, dead).repair).toBe('adopt');
  });

  test('is killed where it was when it is deleted: nobody wants it anywhere', () => {
    expect(lookAt(deleted(), evidence('h1')).kill).toBe(true);
  });
});

describe('a source that waits to be told', () => {
  const last = { id: 'm', number: 2, from: 1, outcome: 'Failed', host: 'h2', ended: timestamp(nowMs) } as const;
  const { migration: _, ...rest } = movingNow().status!;
  const over = (lastMigration?: LastMigration): VirtualMachine => ({
    ...movingNow(),
    status: { ...rest, ...(lastMigration && { lastMigration }) },
  });
  test.each([
    ['is told when nothing of it is at the destination', over(last), 'Undecided', true],
    ['also one that sends still', over(last), 'Sending', true],
    ['not once it knows', over(last), 'Failed', false],
    ['not of a migration of which nothing is known', over(), 'Undecided', false],
    ['not of another one', over({ ...last, id: 'other' }), 'Undecided', false],
    ['not while it is open', movingNow(), 'Undecided', false],
    ['never of one that arrived', over({ ...last, outcome: 'Completed' }), 'Undecided', false],
  ] as const)('%s', (_name, vm, state, expected) => {
    expect(toBeTold(vm, evidence('h1', says('h1', report('h1', state)))) !== undefined).toBe(expected);
  });
});
