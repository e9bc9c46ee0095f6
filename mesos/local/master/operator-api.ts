/** POST /api/v1: what operators read and the little they may change. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { requireFields, typedCall } from '../calls.ts';
import { checkAccept, HttpError, openStream, readCall, replyEmpty, replyJson } from '../http.ts';
import { buildInfo } from '../version.ts';
import { markGone } from './agent-loss.ts';
import { agentMessage } from './agent-message.ts';
import { frameworkMessage, removeFramework } from './frameworks.ts';
import type { OperatorEvent } from './operator-feed.ts';
import type { Master } from './state.ts';

const api = 'master::Call';

/** What each GET_ call answers under its own name in lower case. */
const readers: Readonly<Record<string, (master: Master) => object>> = {
  GET_HEALTH: () => ({ healthy: true }),
  GET_VERSION: () => ({ version_info: buildInfo }),
  GET_MASTER: (master) => ({
    master_info: master.info,
    start_time: master.startedAt / 1000,
    elected_time: master.startedAt / 1000,
  }),
  GET_AGENTS: getAgents,
  GET_FRAMEWORKS: getFrameworks,
  GET_EXECUTORS: getExecutors,
  GET_TASKS: getTasks,
  GET_STATE: getState,
};

function getAgents(master: Master): object {
  const recovered = [...master.recovered.values()].map(({ info }) => info);
  return {
    agents: [...master.agents.values()].map(agentMessage),
    ...(recovered.length > 0 && { recovered_agents: recovered }),
  };
}

function getFrameworks(master: Master): object {
  const completed = [...master.completed.values()].map((framework) => frameworkMessage(framework, false));
  return {
    frameworks: [...master.frameworks.values()].map((framework) => frameworkMessage(framework)),
    ...(completed.length > 0 && { completed_frameworks: completed }),
  };
}

function getExecutors(master: Master): object {
  const executors = [...master.agents.values()].flatMap((agent) =>
    [...agent.executors.values()].flatMap((byId) =>
      [...byId.values()].map((executor_info) => ({ executor_info, agent_id: { value: agent.id } })),
    ),
  );
  return { executors };
}

function getTasks(master: Master): object {
  const live = [...master.frameworks.values()];
  return {
    tasks: live.flatMap((framework) => [...framework.tasks.values()]),
    unreachable_tasks: live.flatMap((framework) => [...framework.unreachable.values()]),
    completed_tasks: [...live, ...master.completed.values()].flatMap((framework) => framework.completed),
  };
}

function getState(master: Master): object {
  return {
    get_tasks: getTasks(master),
    get_executors: getExecutors(master),
    get_frameworks: getFrameworks(master),
    get_agents: getAgents(master),
  };
}

export async function operatorApi(master: Master, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const known = [...Object.keys(readers), 'SUBSCRIBE', 'MARK_AGENT_GONE', 'TEARDOWN'];
  const call = typedCall(await readCall(request, response), known, api);
  checkAccept(request);
  if (call.type === 'SUBSCRIBE') return subscribeOperator(master, response);
  if (call.type === 'MARK_AGENT_GONE') {
    const id = idIn(call, 'mark_agent_gone', 'agent_id');
    if (!markGone(master, id)) throw new HttpError(404, `Agent '${id}' not found`);
    return replyEmpty(response, 200);
  }
  if (call.type === 'TEARDOWN') {
    const id = idIn(call, 'teardown', 'framework_id');
    const framework = master.frameworks.get(id);
    if (framework === undefined) throw new HttpError(400, `No framework found with ID ${id}`);
    removeFramework(master, framework);
    return replyEmpty(response, 200);
  }
  return replyJson(response, { type: call.type, [call.type.toLowerCase()]: readers[call.type]!(master) });
}

function idIn(call: { readonly [key: string]: unknown }, body: string, field: string): string {
  requireFields(call, [`${body}.${field}`, `${body}.${field}.value`]);
  const inner = call[body] as { readonly [key: string]: { readonly value: string } } | undefined;
  if (inner === undefined) throw new HttpError(400, `Failed to validate ${api}: Expecting '${body}' to be present`);
  return inner[field]!.value;
}

function subscribeOperator(master: Master, response: ServerResponse): void {
  let remove = () => {};
  const stream = openStream<OperatorEvent>(response, () => remove());
  remove = master.operators.subscribe(stream, {
    type: 'SUBSCRIBED',
    subscribed: {
      get_state: getState(master),
      heartbeat_interval_seconds: master.options.heartbeatIntervalMs / 1000,
    },
  });
}

/** GET /state: the few fields of the old endpoint that tools ask a master for. */
export function oldState(master: Master): object {
  return {
    version: buildInfo.version,
    id: master.id,
    hostname: master.info.hostname,
    pid: master.info.pid,
    leader: master.info.pid,
    start_time: master.startedAt / 1000,
    activated_slaves: [...master.agents.values()].filter((agent) => agent.session !== undefined).length,
    slaves: [...master.agents.values()].map((agent) => ({ id: agent.id, hostname: agent.info.hostname })),
    frameworks: [...master.frameworks.values()].map((framework) => ({
      id: framework.id,
      name: framework.info.name,
      active: framework.session !== undefined,
    })),
  };
}
