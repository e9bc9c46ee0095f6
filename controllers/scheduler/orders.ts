/**
 * Operations on running machines, as framework messages that Mesos may lose: each order is repeated until the executor reports it done,
 * and its report is acknowledged only after it was stored. The executor does an id once.
 */

import { parseDuration } from '#lib/api/duration.ts';
import { VirtualMachine } from '#lib/api/generated/virtualmachine.ts';
import type { VMOperation } from '#lib/api/generated/vmoperation.ts';
import type {
  MachineReport,
  OperationOrder,
  OperationReport,
  PolicyOrder,
  PowerState,
  SchedulerMessage,
} from '#lib/api/messages.ts';
import { keyOf } from '#lib/api/meta.ts';
import { timestamp } from '#lib/std/clock.ts';
import { isCode, messageOf } from '#lib/std/errors.ts';
import { isOpenOperation, writeOperation } from './operation-status.ts';
import { guestPolicyOf } from './tasks.ts';
import type { World } from './world.ts';

const repeatMs = 3_000;
const specTimeoutMs = 5 * 60_000;

/** What the spec alone wants; undefined where operations decide. Pure. */
export function wantedPower(vm: VirtualMachine): PowerState | undefined {
  if (vm.spec.runPolicy === 'Halted') return 'Off';
  return vm.spec.runPolicy === 'Always' ? 'On' : undefined;
}

/**
 * The order that the spec itself asks for, or undefined. Its id is the same for as long as the machine has been in this phase, so that it is
 * done once for each time that the machine is not as its spec wants it: a guest may turn itself off again. Pure.
 */
export function specOrder(vm: VirtualMachine): OperationOrder | undefined {
  const { metadata, status } = vm;
  const wanted = wantedPower(vm);
  const settled = status?.phase === 'Running' || status?.phase === 'Paused' || status?.phase === 'Stopped';
  if (!settled || !status?.attempt || wanted === undefined || metadata.deletionTimestamp) return undefined;
  if (wanted === 'On' ? status.power !== 'Off' : status.power === 'Off') return undefined;
  const operation = wanted === 'On' ? 'Start' : 'Stop';
  const since = Date.parse(status.phaseTransitions?.[status.phase!] ?? '') / 1000 || 0;
  return {
    type: 'operation',
    version: 1,
    id: `spec-${metadata.uid}-${metadata.generation ?? 1}-${operation}-${since}`,
    uid: metadata.uid,
    attempt: status.attempt.number ?? 1,
    operation,
    force: false,
    timeoutMs: specTimeoutMs,
  };
}

/** What the host is to be told of the machine's runPolicy, which may be another one than at its launch; undefined if it knows. Pure. */
export function policyOrder(vm: VirtualMachine, report: MachineReport | undefined): PolicyOrder | undefined {
  const attempt = vm.status?.attempt?.number;
  // One that is being deleted is killed.
  if (
    vm.metadata.deletionTimestamp ||
    attempt === undefined ||
    report?.attempt !== attempt ||
    report.policy === undefined
  )
    return undefined;
  const policy = guestPolicyOf(vm);
  const { onGuestShutdown, onGuestCrash } = report.policy;
  if (onGuestShutdown === policy.onGuestShutdown && onGuestCrash === policy.onGuestCrash) return undefined;
  return { type: 'policy', version: 1, uid: vm.metadata.uid, attempt, ...policy };
}

export class Orders {
  readonly #world: World;
  readonly #sentMs = new Map<string, number>();
  #looking = false;
  #open = 0;

  constructor(world: World) {
    this.#world = world;
  }

  /** There were operations to be done when it was looked last. */
  get hasWork(): boolean {
    return this.#open > 0;
  }

  /** Sends what the machine's spec asks for, if it is not so: then it is to be called again after so many milliseconds. */
  forSpec(vm: VirtualMachine): number | undefined {
    if (vm.status?.migration) return undefined;
    const { uid } = vm.metadata;
    const executor = this.#world.executors.get(vm.status?.attempt?.host ?? '');
    const [policy, order] = [policyOrder(vm, executor?.machines.get(uid)), specOrder(vm)];
    if (policy) void this.#send(vm, `policy-${uid}`, policy);
    if (order) void this.#send(vm, order.id, order);
    return policy || order ? repeatMs : undefined;
  }

  /** To be called every second or so, and when an operation changes. */
  async look(): Promise<void> {
    if (this.#looking) return;
    this.#looking = true;
    try {
      await this.#lookOnce();
    } finally {
      this.#looking = false;
    }
  }

  async #lookOnce(): Promise<void> {
    const open = this.#world.operations.list().filter(isOpenOperation);
    this.#open = open.length;
    for (const operation of open) {
      try {
        await this.#advance(operation);
      } catch (error) {
        if (!isCode(error, 'Conflict', 'NotFound'))
          this.#world.log.warn('Operation not advanced', { operation: keyOf(operation), reason: messageOf(error) });
      }
    }
    for (const [id, sentMs] of this.#sentMs)
      if (this.#world.clock.monotonic() - sentMs > specTimeoutMs) this.#sentMs.delete(id);
  }

  /**
   * Stores what executors report; gives the ids that need not be reported again: stored, or of no operation that still exists.
   */
  async reported(reports: readonly OperationReport[]): Promise<readonly string[]> {
    const finished: string[] = [];
    for (const report of reports) {
      if (report.state === 'InProgress') continue;
      try {
        await this.#store(report);
        finished.push(report.id);
      } catch (error) {
        if (isCode(error, 'NotFound')) finished.push(report.id);
        else this.#world.log.warn('Report not stored', { operation: report.id, reason: messageOf(error) });
      }
    }
    return finished;
  }

  async #advance(operation: VMOperation): Promise<void> {
    const { type } = operation.spec;
    // These are made of other objects (controllers/vmoperation).
    if (type === 'Snapshot' || type === 'Clone') return;
    // Nor is this one an order: the machine is launched where it goes (migrations.ts).
    if (type === 'Migrate') return;
    const vm = this.#world.machines.byUid(operation.status?.vmUID ?? '');
    const attempt = vm?.status?.attempt;
    if (!vm || attempt?.cluster !== this.#world.cluster) return;
    const timeoutMs = parseDuration(operation.spec.timeout);
    const startedAt = operation.status?.startedAt;
    if (startedAt && this.#world.clock.now() - Date.parse(startedAt) > timeoutMs)
      return await this.#finish(
        operation,
        'Failed',
        `Not done within ${operation.spec.timeout}: host ${attempt.host} did not report it`,
      );
    // Which host would do it is not certain; it is begun where the machine is then.
    if (vm.status?.migration) return;
    if (operation.status?.phase === 'Pending') {
      const now = timestamp(this.#world.clock.now());
      await writeOperation(this.#world, operation, {
        phase: 'InProgress',
        startedAt: now,
        message: `Sent to host ${attempt.host}`,
      });
    }
    const id = operation.metadata.uid;
    await this.#send(vm, id, {
      type: 'operation',
      version: 1,
      id,
      uid: vm.metadata.uid,
      attempt: attempt.number ?? 1,
      operation: type,
      force: operation.spec.force,
      timeoutMs,
    });
  }

  async #send(vm: VirtualMachine, id: string, order: SchedulerMessage): Promise<void> {
    const nowMs = this.#world.clock.monotonic();
    if (nowMs - (this.#sentMs.get(id) ?? Number.NEGATIVE_INFINITY) < repeatMs) return;
    this.#sentMs.set(id, nowMs);
    await this.#world.tell(vm.status!.attempt!.host!, order);
  }

  async #store(report: OperationReport): Promise<void> {
    const operation = this.#world.operations.byUid(report.id);
    if (!operation || operation.status?.phase === 'Completed' || operation.status?.phase === 'Failed') return;
    // First what the operation means for the machine: after the operation is closed nobody would look again.
    if (report.state === 'Completed') await this.#rememberPower(operation);
    await this.#finish(operation, report.state === 'Completed' ? 'Completed' : 'Failed', report.message);
  }

  /** Start and Stop say what the machine's power is to be from now on, also over a later relaunch. */
  async #rememberPower(operation: VMOperation): Promise<void> {
    const requestedPower = ({ Start: 'On', Restart: 'On', Stop: 'Off' } as const)[operation.spec.type as 'Start'];
    const vm = this.#world.machines.byUid(operation.status?.vmUID ?? '');
    if (requestedPower === undefined || !vm?.status || vm.status.requestedPower === requestedPower) return;
    const status = { ...vm.status, requestedPower };
    this.#world.machines.wrote(await this.#world.client.updateStatus(VirtualMachine, { ...vm, status }));
  }

  async #finish(operation: VMOperation, phase: 'Completed' | 'Failed', message: string): Promise<void> {
    await writeOperation(this.#world, operation, { phase, message, finishedAt: timestamp(this.#world.clock.now()) });
  }
}
