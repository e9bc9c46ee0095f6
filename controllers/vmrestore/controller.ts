/**
 * Puts what a snapshot has kept into a new machine, which it makes, or into one that is there, by way of its host. Once: a restore that is over
 * is a record. Conditions: Ready, Reconciling, Stalled.
 */
import { type Controller, done, type Ending, type Phase, type Run, wait } from '#controllers/runtime/controller.ts';
import type { Deps } from '#controllers/runtime/deps.ts';
import { type ConditionDraft, withConditions } from '#lib/api/conditions.ts';
import { Image, VirtualMachine, VMOperation, VMRestore, VMSnapshot } from '#lib/api/generated/index.ts';
import { apiVersionOf, keyOf, ownerReference } from '#lib/api/meta.ts';
import { snapshotImageName } from '#lib/api/names.ts';
import { isCode } from '#lib/std/errors.ts';
import { draftImage, draftMachine } from './new-machine.ts';
import { deadlineMs, isOwn, next, readySnapshot, refusalOf } from './next.ts';
import { isOver, type Scope, type Status, stopName } from './scope.ts';

export function vmRestoreController(deps: Deps): Controller<VMRestore, Scope> {
  const restores = deps.cache(VMRestore, {
    snapshot: (one) => [snapshotKey(one)],
    machine: (one) => [machineKey(one)],
  });

  // Their events make restores due.
  deps.cache(VMSnapshot);
  deps.cache(VirtualMachine);
  deps.cache(VMOperation);

  async function load(restore: VMRestore, run: Run): Promise<Scope> {
    if (isOver(restore)) return { restore, snapshot: undefined, machine: undefined, stop: undefined };
    const { namespace } = restore.metadata;
    // Everything is decided once, and for good: asked of the server, not of caches. A snapshot that is not being deleted now stays, because
    // its controller asks likewise for those who use it.
    const { client } = deps;
    const { target, snapshot } = restore.spec;
    const at = (name: string) => ({ namespace, name });
    const asked = { signal: run.signal };
    return {
      restore,
      snapshot: await found(client.get(VMSnapshot, at(snapshot), asked)),
      machine: await found(client.get(VirtualMachine, at(target.newVM ?? target.vm!), asked)),
      stop: target.vm === undefined ? undefined : await found(client.get(VMOperation, at(stopName(restore)), asked)),
    };
  }

  return {
    name: 'vmrestore',
    for: VMRestore,
    reads: [VMSnapshot, VirtualMachine, VMOperation, Image],
    writes: [VirtualMachine, VMOperation, Image],
    triggers: [
      { kind: VMSnapshot, map: (snapshot) => restores.by('snapshot', keyOf(snapshot)).map(keyOf) },
      { kind: VirtualMachine, map: (vm) => restores.by('machine', keyOf(vm)).map(keyOf) },
      {
        kind: VMOperation,
        map: ({ metadata }) =>
          (metadata.ownerReferences ?? [])
            .filter(({ kind }) => kind === VMRestore.kind)
            .map(({ name }) => `${metadata.namespace}/${name}`),
      },
    ],
    load,
    phases: [makeMachine(deps), stopMachine(deps), waitForDeadline],
    summarize,
  };
}

const snapshotKey = ({ metadata, spec }: VMRestore) => `${metadata.namespace}/${spec.snapshot}`;
const machineKey = ({ metadata, spec }: VMRestore) => `${metadata.namespace}/${spec.target.newVM ?? spec.target.vm}`;

async function found<T>(getting: Promise<T>): Promise<T | undefined> {
  try {
    return await getting;
  } catch (error) {
    if (isCode(error, 'NotFound')) return undefined;
    throw error;
  }
}

/** Its image first: a machine whose image is not there yet only waits. */
function makeMachine({ client }: Deps): Phase<Scope> {
  return async (scope, { signal, nowMs }) => {
    const { restore, machine } = scope;
    const { newVM } = restore.spec.target;
    const from = readySnapshot(scope, nowMs);
    if (isOver(restore) || newVM === undefined || !('ready' in from) || isOwn(machine, restore)) return done;
    const { ready: snapshot } = from;
    if (machine) {
      scope.refusal = `There is a machine called ${newVM} already: choose another name`;
      return done;
    }
    const at = { namespace: restore.metadata.namespace, name: snapshotImageName(snapshot.metadata.name) };
    const image = await found(client.get(Image, at, { signal }));
    if (image && image.spec.source.snapshot?.name !== snapshot.metadata.name) {
      scope.refusal = `There is an Image called ${at.name} that is not of this snapshot: remove it, or take a snapshot of another name`;
      return done;
    }
    if (image?.metadata.deletionTimestamp) return wait('ImageTerminating', `Image ${at.name} is being deleted`, 5_000);
    const osType = await osTypeOf(client, snapshot, signal);
    if (!image) await unlessThere(client.create(Image, draftImage(snapshot, osType), { signal }));
    await unlessThere(client.create(VirtualMachine, draftMachine(restore, snapshot), { signal }));
    return wait('Made', `Machine ${newVM} was made; its event goes on`);
  };
}

/** What the old machine's image says; its own spec does not. */
async function osTypeOf(client: Deps['client'], { metadata, status }: VMSnapshot, signal: AbortSignal) {
  const { image } = JSON.parse(status!.machine!) as VirtualMachine['spec'];
  const at = { namespace: image.namespace || metadata.namespace, name: image.name ?? '' };
  return (await found(client.get(Image, at, { signal })))?.spec.osType ?? 'Linux';
}

/** Somebody who was faster is found by the next look. */
async function unlessThere(creating: Promise<unknown>): Promise<void> {
  try {
    await creating;
  } catch (error) {
    if (!isCode(error, 'AlreadyExists')) throw error;
  }
}

function stopMachine({ client }: Deps): Phase<Scope> {
  return async (scope, { signal, nowMs }) => {
    const { restore, machine, stop } = scope;
    const { target, readiness } = restore.spec;
    const from = readySnapshot(scope, nowMs);
    const isWaiting = target.vm !== undefined && readiness === 'StopTarget' && restore.status?.phase !== 'InProgress';
    if (isOver(restore) || !isWaiting || stop || !('ready' in from)) return done;
    if (machine?.status?.phase === 'Stopped' || refusalOf(restore, machine, from.ready) !== undefined) return done;
    const metadata = {
      namespace: restore.metadata.namespace!,
      name: stopName(restore),
      ownerReferences: [{ ...ownerReference(restore), blockOwnerDeletion: false }],
    };
    const { kind } = VMOperation;
    const spec = { vm: target.vm!, type: 'Stop' as const };
    const draft = { apiVersion: apiVersionOf(VMOperation), kind, metadata, spec };
    await unlessThere(client.create(VMOperation, draft, { signal }));
    return wait('Stopping', `Machine ${target.vm} is being stopped`);
  };
}

const waitForDeadline: Phase<Scope> = (scope, run) => {
  if (isOver(scope.restore)) return done;
  const leftMs = (deadlineMs(scope) ?? Number.POSITIVE_INFINITY) - run.nowMs;
  return Number.isFinite(leftMs) && leftMs > 0 ? wait('Waiting', 'Waiting for its host', leftMs) : done;
};

function summarize(scope: Scope, ending: Ending, run: Run): VMRestore['status'] {
  if ('error' in ending) return undefined;
  const { metadata, status: old } = scope.restore;
  const status = next(scope, run.nowMs);
  return {
    ...status,
    conditions: withConditions(old?.conditions ?? [], conditionsOf(status), metadata.generation ?? 0, run.nowMs),
  };
}

function conditionsOf({ phase = 'Pending', message = '' }: Status): readonly ConditionDraft[] {
  const isDone = phase === 'Completed' || phase === 'Failed';
  return [
    { type: 'Ready', status: phase === 'Completed' ? 'True' : 'False', reason: phase, message },
    { type: 'Reconciling', status: isDone ? 'False' : 'True', reason: phase, message: isDone ? '' : message },
    phase === 'Failed'
      ? { type: 'Stalled', status: 'True', reason: 'Failed', message: `${message}. Create another VMRestore` }
      : { type: 'Stalled', status: 'False', reason: 'Progressing', message: '' },
  ];
}
