/** POST /api/v1: what operators read; what they may change is in operator-changes.ts. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { typedCall } from '../calls.ts';
import { checkAccept, openStream, readCall, replyEmpty, replyJson, replyText } from '../http.ts';
import { render } from '../resources.ts';
import { buildInfo } from '../version.ts';
import { agentMessage } from './agent-message.ts';
import { authenticated } from './authentication.ts';
import { frameworkMessage } from './frameworks.ts';
import { isRedirected } from './leadership.ts';
import { maintenanceStatus } from './maintenance.ts';
import { change, changes } from './operator-changes.ts';
import type { OperatorEvent } from './operator-feed.ts';
import { allocatedOf, countCall, type Master } from './state.ts';

const api = 'master::Call';

/** What each GET_ call answers under its own name in lower case. */
const readers: Readonly<Record<string, (master: Master) => object>> = {
  GET_HEALTH: () => ({ healthy: true }),
  GET_VERSION: () => ({ version_info: buildInfo }),
  GET_MASTER: (master) => ({
    master_info: master.info,
    start_time: master.startedAt / 1000,
    elected_time: master.electedAt / 1000,
  }),
  GET_AGENTS: getAgents,
  GET_FRAMEWORKS: getFrameworks,
  GET_EXECUTORS: getExecutors,
  GET_TASKS: getTasks,
  GET_STATE: getState,
  GET_OPERATIONS: getOperations,
  GET_ROLES: getRoles,
  GET_WEIGHTS: ({ registry }) => ({ weight_infos: [...registry.weights].map(([role, weight]) => ({ weight, role })) }),
  GET_QUOTA: ({ registry }) => {
    const configs = [...registry.quota.values()];
    return { status: configs.length === 0 ? {} : { infos: configs.map(({ role }) => ({ role })), configs } };
  },
  GET_MAINTENANCE_STATUS: (master) => ({ status: maintenanceStatus(master) }),
  GET_MAINTENANCE_SCHEDULE: ({ registry }) => {
    const { windows } = registry.maintenance;
    return { schedule: windows.length === 0 ? {} : { windows } };
  },
};
const files = ['LIST_FILES', 'READ_FILE'];

function getOperations(master: Master): object {
  const operations = [...master.frameworks.values()].flatMap(({ id, operations }) =>
    [...operations.values()].map(({ info, status }) => ({
      framework_id: { value: id },
      ...(status.agent_id && { agent_id: status.agent_id }),
      info,
      latest_status: status,
      statuses: [status],
      uuid: status.uuid,
    })),
  );
  return operations.length === 0 ? {} : { operations };
}

/** Roles that a framework subscribed to or that have a weight or a quota. */
function getRoles(master: Master): object {
  const frameworks = [...master.frameworks.values()];
  const { weights, quota } = master.registry;
  const names = new Set([...frameworks.flatMap(({ roles }) => roles), ...weights.keys(), ...quota.keys()]);
  const roles = [...names].sort().map((name) => {
    const members = frameworks.filter((framework) => framework.roles.includes(name));
    const resources = members.flatMap((one) => render(allocatedOf(one, name), { allocatedTo: name, withRole: true }));
    return {
      name,
      weight: weights.get(name) ?? 1,
      ...(members.length > 0 && { frameworks: members.map(({ id }) => ({ value: id })) }),
      ...(resources.length > 0 && { resources }),
    };
  });
  return { roles };
}

function getAgents(master: Master): object {
  const recovered = [...master.recovered.values()].map(({ info }) => info);
  return {
    agents: [...master.agents.values()].map((agent) => agentMessage(master, agent)),
    ...(recovered.length > 0 && { recovered_agents: recovered }),
  };
}

function getFrameworks(master: Master): object {
  const completed = [...master.completed.values()].map((framework) => frameworkMessage(master, framework, false));
  return {
    frameworks: [...master.frameworks.values()].map((framework) => frameworkMessage(master, framework)),
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
  const principal = authenticated(master, 'mesos-master-readwrite', request, response);
  if (isRedirected(master, '/api/v1', response)) return;
  const known = [...Object.keys(readers), ...Object.keys(changes), ...files, 'SUBSCRIBE'];
  const call = typedCall(await readCall(request, response), known, api);
  checkAccept(request);
  countCall(master, call.type);
  if (call.type === 'SUBSCRIBE') return subscribeOperator(master, response);
  // No file of ours is attached for reading: what Mesos says of one that is not there.
  if (files.includes(call.type)) return replyText(response, 404, '');
  if (Object.hasOwn(changes, call.type)) return replyEmpty(response, change(master, call, principal));
  return replyJson(response, { type: call.type, [call.type.toLowerCase()]: readers[call.type]!(master) });
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
