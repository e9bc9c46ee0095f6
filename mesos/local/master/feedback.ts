/** Operations with an id: their framework is told how they ended, acknowledges that, and may ask again. */
import type { Id, OperationStatus } from '#mesos/types.ts';
import { uuidBytes } from '../calls.ts';
import { type Agent, type Framework, type Master, sendEvent } from './state.ts';

/** Tells the framework how its operation ended: well, or with the error. Nothing for operations without an id. */
export function reportOperation(
  master: Master,
  framework: Framework,
  agent: Agent | undefined,
  operation: { readonly type: string; readonly id?: Id },
  error?: string,
): void {
  if (operation.id === undefined) return;
  const status: OperationStatus = {
    operation_id: operation.id,
    state: error === undefined ? 'OPERATION_FINISHED' : 'OPERATION_ERROR',
    ...(error !== undefined && { message: error }),
    // What the master decided itself needs no acknowledgement.
    ...(error === undefined && { uuid: { value: uuidBytes(master.options.random.uuid()) } }),
    ...(agent && { agent_id: { value: agent.id } }),
  };
  if (error === undefined) framework.operations.set(operation.id.value, { info: operation, status });
  sendEvent(framework, { type: 'UPDATE_OPERATION_STATUS', update_operation_status: { status } });
}

export function acknowledgeOperation(framework: Framework, operationId: string, uuid: string): void {
  if (framework.operations.get(operationId)?.status.uuid?.value === uuid) framework.operations.delete(operationId);
}

interface Asked {
  readonly operation_id: Id;
  readonly agent_id?: Id;
}

/** RECONCILE_OPERATIONS: without names about all of them, else one answer per name. */
export function reconcileOperations(master: Master, framework: Framework, asked: readonly Asked[]): void {
  const all = [...framework.operations.keys()].map((value) => ({ operation_id: { value } }));
  for (const one of asked.length > 0 ? asked : all) {
    sendEvent(framework, {
      type: 'UPDATE_OPERATION_STATUS',
      update_operation_status: { status: reconciled(master, framework, one) },
    });
  }
}

function reconciled(master: Master, framework: Framework, { operation_id, agent_id }: Asked): OperationStatus {
  const known = framework.operations.get(operation_id.value);
  const where = agent_id === undefined ? {} : { agent_id };
  if (known !== undefined) {
    const { uuid: _, ...status } = known.status;
    return { ...status, message: 'Reconciliation: Latest operation state' };
  }
  const id = agent_id?.value ?? '';
  const [state, message] = master.recovered.has(id)
    ? ['OPERATION_RECOVERING', 'Agent is recovering']
    : master.registry.unreachableSince(id) !== undefined
      ? ['OPERATION_UNREACHABLE', 'Agent is unreachable']
      : master.registry.isGone(id)
        ? ['OPERATION_GONE_BY_OPERATOR', 'Agent marked gone by operator']
        : ['OPERATION_UNKNOWN', 'Operation is unknown'];
  return { operation_id, state, message: `Reconciliation: ${message}`, ...where };
}
