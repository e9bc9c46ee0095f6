/** What operators may change, by call: the body it must have, what is required in it, and what it does. */
import { converted, refuseWrongKind, requireFields } from '../calls.ts';
import { HttpError } from '../http.ts';
import { markGone } from './agent-loss.ts';
import { applyByOperator } from './apply.ts';
import { deactivateAgent, drainAgent, reactivateAgent } from './drain.ts';
import { removeFramework } from './frameworks.ts';
import { startMaintenance, stopMaintenance, updateSchedule } from './maintenance.ts';
import { updateQuota, updateWeights } from './shares.ts';
import type { Agent, Master } from './state.ts';

type Json = { readonly [key: string]: unknown };

interface Change {
  readonly required: readonly string[];
  /** Fields that hold a message, which people take for a text. */
  readonly messages?: readonly string[];
  readonly status: 200 | 202;
  // biome-ignore lint/suspicious/noExplicitAny: each body has its own shape, checked by `required` as far as it is relied on.
  readonly perform: (master: Master, body: any, principal: string | undefined) => void;
}

const agent = ['agent_id', 'agent_id.value'];

/** Calls to an agent's resources answer 202 and name an unknown agent differently. */
function agentOf(master: Master, body: { readonly agent_id: { readonly value: string } }): Agent {
  const found = master.agents.get(body.agent_id.value);
  if (found === undefined) throw new HttpError(400, 'No agent found with specified ID');
  return found;
}

export const changes: Readonly<Record<string, Change>> = {
  MARK_AGENT_GONE: {
    required: agent,
    status: 200,
    perform(master, { agent_id: { value } }) {
      if (!markGone(master, value)) throw new HttpError(404, `Agent '${value}' not found`);
    },
  },
  TEARDOWN: {
    required: ['framework_id', 'framework_id.value'],
    status: 200,
    perform(master, { framework_id: { value } }) {
      const framework = master.frameworks.get(value);
      if (framework === undefined) throw new HttpError(400, 'No framework found with specified ID');
      removeFramework(master, framework);
    },
  },
  RESERVE_RESOURCES: {
    required: agent,
    status: 202,
    perform: (master, body, principal) =>
      applyByOperator(master, agentOf(master, body), 'RESERVE', body.resources ?? [], {
        source: body.source,
        principal,
      }),
  },
  UNRESERVE_RESOURCES: {
    required: agent,
    status: 202,
    perform: (master, body, principal) =>
      applyByOperator(master, agentOf(master, body), 'UNRESERVE', body.resources ?? [], { principal }),
  },
  CREATE_VOLUMES: {
    required: agent,
    status: 202,
    perform: (master, body, principal) =>
      applyByOperator(master, agentOf(master, body), 'CREATE', body.volumes ?? [], { principal }),
  },
  DESTROY_VOLUMES: {
    required: agent,
    status: 202,
    perform: (master, body, principal) =>
      applyByOperator(master, agentOf(master, body), 'DESTROY', body.volumes ?? [], { principal }),
  },
  UPDATE_MAINTENANCE_SCHEDULE: {
    required: ['schedule'],
    status: 200,
    perform: (master, { schedule }) => updateSchedule(master, schedule.windows ?? []),
  },
  START_MAINTENANCE: {
    required: [],
    status: 200,
    perform: (master, { machines }) => startMaintenance(master, machines ?? []),
  },
  STOP_MAINTENANCE: {
    required: [],
    status: 200,
    perform: (master, { machines }) => stopMaintenance(master, machines ?? []),
  },
  DRAIN_AGENT: {
    required: agent,
    messages: ['max_grace_period'],
    status: 200,
    perform(master, body) {
      const { agent_id, max_grace_period: grace, mark_gone = false } = body;
      const nanoseconds = grace && (grace.seconds ?? 0) * 1e9 + (grace.nanos ?? 0);
      drainAgent(master, agent_id.value, { ...(grace && { max_grace_period: { nanoseconds } }), mark_gone });
    },
  },
  DEACTIVATE_AGENT: {
    required: agent,
    status: 200,
    perform: (master, { agent_id }) => deactivateAgent(master, agent_id.value),
  },
  REACTIVATE_AGENT: {
    required: agent,
    status: 200,
    perform: (master, { agent_id }) => reactivateAgent(master, agent_id.value),
  },
  UPDATE_WEIGHTS: {
    required: ['weight_infos[].weight'],
    status: 200,
    perform: (master, { weight_infos }) => updateWeights(master, weight_infos ?? []),
  },
  UPDATE_QUOTA: {
    required: ['quota_configs[].role'],
    status: 200,
    perform: (master, { quota_configs }) => updateQuota(master, quota_configs ?? []),
  },
};

/** Carries out a change and gives the status of its answer. HttpError where Mesos refuses. */
export function change(master: Master, call: Json & { readonly type: string }, principal: string | undefined): number {
  const { required, messages = [], status, perform } = changes[call.type]!;
  const name = call.type.toLowerCase();
  requireFields(
    call,
    required.map((path) => `${name}.${path}`),
  );
  const body = call[name] ?? undefined;
  if (body === undefined)
    throw new HttpError(400, `Failed to validate master::Call: Expecting '${name}' to be present`);
  for (const field of messages) refuseWrongKind(body as Json, field, 'object');
  converted('masterCall', call);
  perform(master, body, principal);
  return status;
}
