/**
 * Accepts, refuses, supersedes and finally deletes VMOperations. Carrying one out is the cluster server's work: it takes operations in
 * phase Pending, writes InProgress, and Completed or Failed. An operation never edits a machine's spec.
 */
import { VirtualMachine, VMOperation, VMRestore, VMSnapshot } from '#lib/api/generated/index.ts';
import { isCode } from '#lib/std/errors.ts';
import { type Controller, done, type Phase, type Run, wait } from '../runtime/controller.ts';
import type { Deps } from '../runtime/deps.ts';
import { copyName, findMade, type Made, makeCopies, removeHalfMade } from './copies.ts';
import { deadlineMs, isFinished, verdict } from './verdict.ts';

interface Scope {
  readonly operation: VMOperation;
  readonly machine: VirtualMachine | undefined;
  /** Operations on the same machine, this one included. */
  readonly siblings: readonly VMOperation[];
  readonly made: Made;
}

export function vmOperationController(deps: Deps): Controller<VMOperation, Scope> {
  const machines = deps.cache(VirtualMachine);
  // What operations are made of.
  deps.cache(VMSnapshot);
  deps.cache(VMRestore);
  const operations = deps.cache(VMOperation, {
    machine: (operation) => [machineKey(operation)],
    copy: (operation) => [`${operation.metadata.namespace}/${copyName(operation)}`],
  });
  const operationsOn = (key: string) => operations.by('machine', key);
  const askedFor = (namespace: string | undefined, name: string) =>
    operations.by('copy', `${namespace}/${name}`).map(keyOfOperation);

  async function load(operation: VMOperation, run: Run): Promise<Scope> {
    const key = machineKey(operation);
    const cached = machines.get(key);
    // Refusing is final, so an absence has to be certain: the machine may be younger than the cache.
    const machine = cached ?? (isFinished(operation) ? undefined : await liveMachine(deps, operation, run));
    return { operation, machine, siblings: operationsOn(key), made: await findMade(deps, operation, run) };
  }

  return {
    name: 'vmoperation',
    for: VMOperation,
    reads: [VirtualMachine, VMSnapshot, VMRestore],
    writes: [VMOperation, VMSnapshot, VMRestore],
    triggers: [
      {
        kind: VirtualMachine,
        map: ({ metadata }) => operationsOn(`${metadata.namespace}/${metadata.name}`).map(keyOfOperation),
      },
      // A new operation may supersede others on the same machine.
      { kind: VMOperation, map: (object) => operationsOn(machineKey(object as VMOperation)).map(keyOfOperation) },
      // Named after who asked for them, or owned by it.
      { kind: VMSnapshot, map: ({ metadata }) => askedFor(metadata.namespace, metadata.name) },
      { kind: VMRestore, map: ({ metadata }) => askedFor(metadata.namespace, metadata.name) },
    ],
    load,
    phases: [removeHalfMade(deps), expire(deps), makeCopies(deps), waitForDeadline],
    summarize: ({ operation, machine, siblings, made }, _ending, run) =>
      verdict(operation, machine, siblings, run.nowMs, made) ?? operation.status,
  };
}

function machineKey({ metadata, spec }: VMOperation): string {
  return `${metadata.namespace}/${spec.vm}`;
}

function keyOfOperation({ metadata }: VMOperation): string {
  return `${metadata.namespace}/${metadata.name}`;
}

async function liveMachine({ client }: Deps, operation: VMOperation, run: Run): Promise<VirtualMachine | undefined> {
  const at = { name: operation.spec.vm, namespace: operation.metadata.namespace };
  try {
    return await client.get(VirtualMachine, at, { signal: run.signal });
  } catch (error) {
    if (isCode(error, 'NotFound')) return undefined;
    throw error;
  }
}

const expire =
  ({ client }: Deps): Phase<Scope> =>
  async ({ operation }, run) => {
    if (!isFinished(operation)) return done;
    const { uid, creationTimestamp } = operation.metadata;
    const finishedMs = Date.parse(operation.status?.finishedAt ?? creationTimestamp);
    const leftMs = finishedMs + operation.spec.ttlSecondsAfterFinished * 1000 - run.nowMs;
    if (leftMs > 0) return wait('Finished', 'Kept until its time has run out', leftMs);
    try {
      await client.delete(VMOperation, operation.metadata, { uid, signal: run.signal });
    } catch (error) {
      if (!isCode(error, 'NotFound')) throw error;
    }
    return done;
  };

const waitForDeadline: Phase<Scope> = ({ operation }, run) => {
  const leftMs = deadlineMs(operation) - run.nowMs;
  return leftMs > 0 ? wait('Waiting', 'Waiting for the cluster server', leftMs) : done;
};
