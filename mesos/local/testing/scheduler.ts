/** A scheduler for tests, just able enough: subscribes, launches lab tasks, acknowledges, remembers every event. */
import { join } from 'node:path';
import { request } from 'undici';
import { decodeRecords } from '#mesos/recordio.ts';
import type { ExecutorInfo, FrameworkInfo, Offer, SchedulerEvent, TaskInfo, TaskStatus } from '#mesos/types.ts';
import { eventually } from './cluster.ts';

export const labFramework: FrameworkInfo = {
  user: 'root',
  name: 'lab',
  roles: ['vm'],
  failover_timeout: 3600,
  checkpoint: true,
  capabilities: ['MULTI_ROLE', 'PARTITION_AWARE', 'RESERVATION_REFINEMENT', 'TASK_KILLING_STATE'].map((type) => ({
    type,
  })),
};

export interface Answer {
  readonly status: number;
  readonly text: string;
}

export class TestScheduler implements AsyncDisposable {
  readonly url: string;
  readonly events: SchedulerEvent[] = [];
  readonly offers: Offer[] = [];
  frameworkId: string | undefined;
  /** False: updates stay unacknowledged. */
  acknowledges = true;
  /** True once the stream of the last subscription has ended. */
  ended = false;
  streamId = '';
  #end = new AbortController();

  constructor(url: string) {
    this.url = url;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#end.abort();
  }

  /** Subscribes anew, with the framework id of the last time if there was one. */
  async subscribe(info: FrameworkInfo = labFramework, more: object = {}): Promise<void> {
    this.#end.abort();
    this.#end = new AbortController();
    this.offers.length = 0;
    this.ended = false;
    const id = this.frameworkId === undefined ? {} : { id: { value: this.frameworkId } };
    const response = await request(`${this.url}/api/v1/scheduler`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', accept: 'application/json' },
      body: JSON.stringify({
        type: 'SUBSCRIBE',
        subscribe: { framework_info: { ...info, ...id }, ...more },
        ...('id' in id && { framework_id: id.id }),
      }),
      signal: this.#end.signal,
      bodyTimeout: 0,
    });
    this.streamId = String(response.headers['mesos-stream-id']);
    const before = this.events.length;
    void this.#read(response.body, this.#end);
    const subscribed = await eventually('SUBSCRIBED', () =>
      this.events.slice(before).find((event) => event.type === 'SUBSCRIBED'),
    );
    this.frameworkId = subscribed.subscribed.framework_id.value;
  }

  async #read(body: AsyncIterable<Uint8Array>, end: AbortController): Promise<void> {
    try {
      for await (const record of decodeRecords(body)) {
        const event = record as SchedulerEvent;
        if (event.type === 'OFFERS') this.offers.push(...event.offers.offers);
        else this.events.push(event);
        if (event.type === 'UPDATE' && event.update.status.uuid && this.acknowledges)
          await this.acknowledge(event.update.status);
      }
    } catch {
      // The connection broke: tests see it in what does not arrive any more.
    } finally {
      if (end === this.#end) this.ended = true;
    }
  }

  /** A call of this framework; `headers` replace the usual ones, undefined leaves one out. */
  async post(call: object, headers: Readonly<Record<string, string | undefined>> = {}): Promise<Answer> {
    const all = { 'content-type': 'application/json', 'mesos-stream-id': this.streamId, ...headers };
    const response = await request(`${this.url}/api/v1/scheduler`, {
      method: 'POST',
      headers: Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined)),
      body: JSON.stringify({ framework_id: { value: this.frameworkId }, ...call }),
    });
    return { status: response.statusCode, text: (await response.body.text()).trim() };
  }

  async call(call: object): Promise<void> {
    const { status, text } = await this.post(call);
    if (status !== 202) throw new Error(`Answered ${status}: ${text}`);
  }

  acknowledge(status: TaskStatus): Promise<void> {
    const acknowledge = { agent_id: status.agent_id, task_id: status.task_id, uuid: status.uuid };
    return this.call({ type: 'ACKNOWLEDGE', acknowledge }).catch(() => undefined);
  }

  message(agentId: string, executorId: string, text: string): Promise<void> {
    const data = Buffer.from(text).toString('base64');
    const message = { agent_id: { value: agentId }, executor_id: { value: executorId }, data };
    return this.call({ type: 'MESSAGE', message });
  }

  /** Launches `task` on an executor that runs `command`, from the next offer. Returns the agent's id. */
  async launch(task: string, executor: string, command = labCommand, filters = { refuse_seconds: 0 }): Promise<string> {
    const offer = await eventually('an offer', () => this.offers.shift());
    const info = taskOn(offer, task, executorOf(executor, command));
    const operations = [{ type: 'LAUNCH', launch: { task_infos: [info] } }];
    await this.call({ type: 'ACCEPT', accept: { offer_ids: [offer.id], operations, filters } });
    return offer.agent_id.value;
  }

  /** The statuses of a task so far, oldest first. */
  statuses(task: string): TaskStatus[] {
    return this.events.flatMap((event) =>
      event.type === 'UPDATE' && event.update.status.task_id.value === task ? [event.update.status] : [],
    );
  }

  /** The first status of the task with this state, from number `from` on. */
  status(task: string, state: string, from = 0): Promise<TaskStatus> {
    return eventually(`${task} ${state}`, () =>
      this.statuses(task)
        .slice(from)
        .find((status) => status.state === state),
    );
  }
}

export const labCommand = `exec ${process.execPath} ${join(import.meta.dirname, 'lab-executor.ts')}`;

export function executorOf(id: string, value: string): ExecutorInfo {
  const resources = [
    { name: 'cpus', type: 'SCALAR' as const, scalar: { value: 0.1 } },
    { name: 'mem', type: 'SCALAR' as const, scalar: { value: 32 } },
  ];
  return { type: 'CUSTOM', executor_id: { value: id }, resources, command: { shell: true, value } };
}

export function taskOn(offer: Offer, task: string, executor: ExecutorInfo): TaskInfo {
  const resources = [
    { name: 'cpus', type: 'SCALAR' as const, scalar: { value: 0.5 } },
    { name: 'mem', type: 'SCALAR' as const, scalar: { value: 64 } },
  ];
  return { name: task, task_id: { value: task }, agent_id: offer.agent_id, resources, executor };
}
