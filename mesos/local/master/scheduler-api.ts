/** POST /api/v1/scheduler: the checks of Master::Http::scheduler in their order, then the call. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { SchedulerCall, SchedulerEvent } from '#mesos/types.ts';
import { checkUuid, converted, requireFields, typedCall } from '../calls.ts';
import { checkAccept, HttpError, openStream, readCall, replyEmpty } from '../http.ts';
import { authenticated } from './authentication.ts';
import { dispatch, type OtherCall } from './calls/dispatch.ts';
import { subscribe } from './calls/subscribe.ts';
import { disconnectFramework } from './frameworks.ts';
import { isRedirected } from './leadership.ts';
import { countCall, type Framework, type Master } from './state.ts';

const api = 'scheduler::Call';

/** The body that each call must have, unless it may be left out, and fields that are `required` in the .proto. */
const callTypes: Readonly<Record<string, { readonly body?: string; readonly required: readonly string[] }>> = {
  SUBSCRIBE: {
    body: 'subscribe',
    required: ['subscribe.framework_info', 'subscribe.framework_info.user', 'subscribe.framework_info.name'],
  },
  TEARDOWN: { required: [] },
  ACCEPT: { body: 'accept', required: ['accept.offer_ids[].value', ...launchFields('accept.operations[].launch')] },
  DECLINE: { body: 'decline', required: ['decline.offer_ids[].value'] },
  REVIVE: { required: [] },
  SUPPRESS: { required: [] },
  KILL: { body: 'kill', required: ['kill.task_id', 'kill.task_id.value'] },
  SHUTDOWN: { body: 'shutdown', required: ['shutdown.executor_id', 'shutdown.agent_id'] },
  ACKNOWLEDGE: {
    body: 'acknowledge',
    required: ['acknowledge.agent_id', 'acknowledge.task_id', 'acknowledge.uuid'],
  },
  RECONCILE: { body: 'reconcile', required: ['reconcile.tasks[].task_id', 'reconcile.tasks[].task_id.value'] },
  MESSAGE: { body: 'message', required: ['message.agent_id', 'message.executor_id', 'message.data'] },
  UPDATE_FRAMEWORK: {
    body: 'update_framework',
    required: ['update_framework.framework_info.user', 'update_framework.framework_info.name'],
  },
  ACCEPT_INVERSE_OFFERS: {
    body: 'accept_inverse_offers',
    required: ['accept_inverse_offers.inverse_offer_ids[].value'],
  },
  DECLINE_INVERSE_OFFERS: {
    body: 'decline_inverse_offers',
    required: ['decline_inverse_offers.inverse_offer_ids[].value'],
  },
  ACKNOWLEDGE_OPERATION_STATUS: {
    body: 'acknowledge_operation_status',
    required: ['acknowledge_operation_status.uuid', 'acknowledge_operation_status.operation_id'],
  },
  RECONCILE_OPERATIONS: {
    body: 'reconcile_operations',
    required: ['reconcile_operations.operations[].operation_id'],
  },
  REQUEST: { body: 'request', required: [] },
};

function launchFields(launch: string): string[] {
  return ['name', 'task_id', 'task_id.value', 'agent_id', 'executor.executor_id'].map(
    (field) => `${launch}.task_infos[].${field}`,
  );
}

function validated(body: unknown): SchedulerCall {
  const call = typedCall(body, Object.keys(callTypes), api);
  const { body: bodyName, required } = callTypes[call.type]!;
  if (call.type === 'ACKNOWLEDGE' || call.type === 'ACKNOWLEDGE_OPERATION_STATUS') {
    const { uuid } = (call[bodyName!] ?? {}) as { uuid?: unknown };
    if (uuid !== undefined) checkUuid(uuid, api);
  }
  requireFields(call, ['framework_id.value', ...required]);
  if (bodyName !== undefined && (call[bodyName] ?? undefined) === undefined) {
    throw new HttpError(400, `Failed to validate ${api}: Expecting '${bodyName}' to be present`);
  }
  if (call.type !== 'SUBSCRIBE' && (call.framework_id ?? undefined) === undefined) {
    throw new HttpError(400, `Failed to validate ${api}: Expecting 'framework_id' to be present`);
  }
  return converted('schedulerCall', call) as unknown as SchedulerCall;
}

export async function schedulerApi(master: Master, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const principal = authenticated(master, 'mesos-master-scheduler', request, response);
  if (isRedirected(master, '/api/v1/scheduler', response)) return;
  const call = validated(await readCall(request, response));
  countCall(master, call.type);
  if (call.type === 'SUBSCRIBE') return serveSubscribe(master, ofPrincipal(call, principal), request, response);
  const framework = subscribedFramework(master, call, request, principal);
  replyEmpty(response, dispatch(master, framework, call));
}

/** Whoever has authenticated is the framework's principal; naming another one is refused. */
function ofPrincipal<C extends SchedulerCall & { type: 'SUBSCRIBE' }>(call: C, principal: string | undefined): C {
  if (principal === undefined) return call;
  const { framework_info } = call.subscribe;
  const problem = principalProblem(principal, framework_info.principal ?? principal);
  if (problem !== undefined) throw new HttpError(400, `Failed to validate ${api}: ${problem}`);
  return { ...call, subscribe: { ...call.subscribe, framework_info: { ...framework_info, principal } } };
}

function principalProblem(authenticated: string, principal: string | undefined): string | undefined {
  if (authenticated === principal) return undefined;
  return `Authenticated principal '${authenticated}' does not match principal '${principal ?? ''}' set in \`FrameworkInfo\``;
}

function serveSubscribe(
  master: Master,
  call: SchedulerCall & { type: 'SUBSCRIBE' },
  request: IncomingMessage,
  response: ServerResponse,
): void {
  if (call.framework_id?.value !== call.subscribe.framework_info.id?.value) {
    throw new HttpError(400, `Failed to validate ${api}: 'framework_id' differs from 'subscribe.framework_info.id'`);
  }
  checkAccept(request);
  if (request.headers['mesos-stream-id'] !== undefined) {
    throw new HttpError(400, `Subscribe calls should not include the 'Mesos-Stream-Id' header`);
  }
  const streamId = master.options.random.uuid();
  let subscribed: ReturnType<typeof subscribe>;
  const stream = openStream<SchedulerEvent>(
    response,
    () => subscribed && disconnectFramework(master, subscribed.framework, subscribed.session),
    { 'Mesos-Stream-Id': streamId },
  );
  subscribed = subscribe(master, call, stream, streamId);
}

/** The framework that the call comes from, if it comes over its present subscription. */
function subscribedFramework(
  master: Master,
  call: OtherCall,
  request: IncomingMessage,
  principal: string | undefined,
): Framework {
  const id = (call as { framework_id: { value: string } }).framework_id.value;
  const framework = master.frameworks.get(id);
  if (framework === undefined) throw new HttpError(400, 'Framework cannot be found');
  const problem = principal === undefined ? undefined : principalProblem(principal, framework.info.principal);
  if (problem !== undefined) throw new HttpError(400, problem);
  if (framework.session === undefined) throw new HttpError(403, 'Framework is not subscribed');
  const streamId = request.headers['mesos-stream-id'];
  if (streamId === undefined) {
    throw new HttpError(400, `All non-subscribe calls should include the 'Mesos-Stream-Id' header`);
  }
  if (streamId !== framework.session.streamId) {
    throw new HttpError(
      400,
      `The stream ID '${String(streamId)}' included in this request didn't match ` +
        `the stream ID currently associated with framework ID ${id}`,
    );
  }
  return framework;
}
