/** POST /api/v1 on the agent: the calls without parameters that a monitor asks. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { isTerminal } from '#mesos/types.ts';
import { typedCall } from '../calls.ts';
import { checkAccept, readCall, replyJson, replyText } from '../http.ts';
import { buildInfo } from '../version.ts';
import type { Agent, Executor } from './state.ts';

const readers: Readonly<Record<string, (agent: Agent) => object>> = {
  GET_HEALTH: () => ({ healthy: true }),
  GET_VERSION: () => ({ version_info: buildInfo }),
  GET_AGENT: (agent) => ({ agent_info: agent.info }),
  GET_EXECUTORS: (agent) => ({
    executors: running(agent).map((executor) => ({ executor_info: executor.record.info })),
  }),
  GET_TASKS: (agent) => {
    const tasks = [...agent.journal.state.tasks.values()].map(({ task }) => task);
    return {
      launched_tasks: tasks.filter((task) => !isTerminal(task.state)),
      terminated_tasks: tasks.filter((task) => isTerminal(task.state)),
    };
  },
  GET_CONTAINERS: (agent) => ({
    containers: running(agent).map((executor) => ({
      framework_id: { value: executor.frameworkId },
      executor_id: { value: executor.id },
      executor_name: executor.record.info.name ?? '',
      container_id: { value: executor.record.containerId },
      container_status: {
        container_id: { value: executor.record.containerId },
        ...(executor.handle?.pid !== undefined && { executor_pid: executor.handle.pid }),
      },
    })),
  }),
};

function running(agent: Agent): readonly Executor[] {
  return [...agent.executors.values()].filter(({ state }) => state !== 'TERMINATED');
}

/** No file is attached for reading: what Mesos says of one that is not there. */
const files = ['LIST_FILES', 'READ_FILE'];

export async function operatorApi(agent: Agent, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const call = typedCall(await readCall(request, response), [...Object.keys(readers), ...files], 'agent::Call');
  checkAccept(request);
  if (files.includes(call.type)) return replyText(response, 404, '');
  replyJson(response, { type: call.type, [call.type.toLowerCase()]: readers[call.type]!(agent) });
}
