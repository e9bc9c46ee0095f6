/**
 * Operations that are made of other objects: Snapshot makes a VMSnapshot, which stays; Clone makes one and a VMRestore of it into a new machine,
 * and both go when the operation is forgotten, the data of the snapshot with the last machine that stands on it.
 */
import { done, type Phase, type Run, wait } from '#controllers/runtime/controller.ts';
import type { Deps } from '#controllers/runtime/deps.ts';
import { type VMOperation, type VMOperationStatus, VMRestore, VMSnapshot } from '#lib/api/generated/index.ts';
import { apiVersionOf, type KubeObject, ownerReference } from '#lib/api/meta.ts';
import { withoutNotKept } from '#lib/api/not-kept.ts';
import { isCode } from '#lib/std/errors.ts';

/** What an operation has made so far. */
export interface Made {
  readonly snapshot?: VMSnapshot | undefined;
  readonly restore?: VMRestore | undefined;
}

interface Scope {
  readonly operation: VMOperation;
  readonly made: Made;
}

const isCopy = ({ spec }: VMOperation) => spec.type === 'Snapshot' || spec.type === 'Clone';

/** Of the snapshot and the restore. */
export function copyName({ metadata, spec }: VMOperation): string {
  return spec.type === 'Snapshot' ? (spec.target ?? metadata.name) : metadata.name;
}

export async function findMade({ client }: Deps, operation: VMOperation, { signal }: Run): Promise<Made> {
  const isOver = operation.status?.finishedAt !== undefined && operation.status.phase !== 'Failed';
  if (!isCopy(operation) || isOver) return {};
  const at = { namespace: operation.metadata.namespace, name: copyName(operation) };
  const isClone = operation.spec.type === 'Clone';
  return {
    snapshot: await found(client.get(VMSnapshot, at, { signal })),
    restore: isClone ? await found(client.get(VMRestore, at, { signal })) : undefined,
  };
}

async function found<T>(getting: Promise<T>): Promise<T | undefined> {
  try {
    return await getting;
  } catch (error) {
    if (isCode(error, 'NotFound')) return undefined;
    throw error;
  }
}

/** How far it came, by what it has made. Pure. */
export function copyVerdict(
  operation: VMOperation,
  { snapshot, restore }: Made,
): { readonly phase: NonNullable<VMOperationStatus['phase']>; readonly message: string } {
  const name = copyName(operation);
  if (!snapshot) return { phase: 'Pending', message: `Asks for VMSnapshot ${name}` };
  if (!isOurs(operation, snapshot) || (restore && !isOurs(operation, restore)))
    return {
      phase: 'Failed',
      message: `There is a VMSnapshot or VMRestore called ${name} already: choose another name`,
    };
  const { phase = 'Pending', message = '' } = snapshot.status ?? {};
  if (phase === 'Failed') return { phase: 'Failed', message };
  if (phase !== 'Ready') return { phase: 'InProgress', message: `VMSnapshot ${name}: ${message || phase}` };
  if (operation.spec.type === 'Snapshot') return { phase: 'Completed', message: `VMSnapshot ${name} is ready` };
  if (restore?.status?.phase === 'Failed') return { phase: 'Failed', message: restore.status.message ?? '' };
  if (restore?.status?.phase === 'Completed')
    return { phase: 'Completed', message: `Machine ${operation.spec.target} was made${withoutNotKept(snapshot)}` };
  return { phase: 'InProgress', message: `VMRestore ${name}: ${restore?.status?.message ?? 'Pending'}` };
}

const askedBy = 'computefactory.io/asked-by';

function isOurs({ metadata }: VMOperation, made: KubeObject): boolean {
  return made.metadata.annotations?.[askedBy] === metadata.uid;
}

/** After it was accepted: then the machine is known to be there. */
export function makeCopies({ client }: Deps): Phase<Scope> {
  return async ({ operation, made }, { signal }) => {
    const { status, spec, metadata } = operation;
    if (!isCopy(operation) || status?.phase === undefined || status.finishedAt !== undefined) return done;
    const isClone = spec.type === 'Clone';
    const common = {
      namespace: metadata.namespace!,
      name: copyName(operation),
      annotations: { [askedBy]: metadata.uid },
      ...(isClone && { ownerReferences: [{ ...ownerReference(operation), blockOwnerDeletion: false }] }),
    };
    try {
      if (!made.snapshot) {
        const wanted = { vm: spec.vm, deadline: spec.timeout };
        const apiVersion = apiVersionOf(VMSnapshot);
        await client.create(
          VMSnapshot,
          { apiVersion, kind: VMSnapshot.kind, metadata: common, spec: wanted },
          { signal },
        );
      } else if (
        isClone &&
        !made.restore &&
        made.snapshot.status?.phase === 'Ready' &&
        isOurs(operation, made.snapshot)
      ) {
        const wanted = { snapshot: common.name, target: { newVM: spec.target! } };
        const apiVersion = apiVersionOf(VMRestore);
        await client.create(
          VMRestore,
          { apiVersion, kind: VMRestore.kind, metadata: common, spec: wanted },
          { signal },
        );
      } else return done;
    } catch (error) {
      if (!isCode(error, 'AlreadyExists')) throw error;
    }
    return wait('Made', 'The event of what was made goes on', 1_000);
  };
}

/** Of a clone that failed nothing stays. */
export function removeHalfMade({ client }: Deps): Phase<Scope> {
  return async ({ operation, made }, { signal }) => {
    if (operation.spec.type !== 'Clone' || operation.status?.phase !== 'Failed') return done;
    const { snapshot, restore } = made;
    const isLeft = (object: KubeObject) => !object.metadata.deletionTimestamp && isOurs(operation, object);
    const only = ({ metadata }: KubeObject) => ({ uid: metadata.uid, signal });
    if (restore && isLeft(restore)) await found(client.delete(VMRestore, restore.metadata, only(restore)));
    if (snapshot && isLeft(snapshot)) await found(client.delete(VMSnapshot, snapshot.metadata, only(snapshot)));
    return done;
  };
}
