/** A Mesos agent reduced to what an executor sees of it: a stream of events out, calls in, every update acknowledged once. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Launch, Termination } from '#lib/api/launch.ts';
import type { Heartbeat, SchedulerMessage } from '#lib/api/messages.ts';
import { decodeData, encodeData } from '#mesos/bytes.ts';
import type { ExecutorEnvironment } from '#mesos/executor-environment.ts';
import type { ExecutorCall, ExecutorEvent, TaskInfo, TaskStatus } from '#mesos/types.ts';

export class ScriptedAgent implements AsyncDisposable {
  readonly updates: TaskStatus[] = [];
  readonly heartbeats: Heartbeat[] = [];
  readonly subscriptions: (ExecutorCall & { type: 'SUBSCRIBE' })[] = [];
  /** What calls were authorized by. */
  readonly authorizations: (string | undefined)[] = [];
  /** False: updates are taken and never acknowledged. */
  acknowledging = true;
  /** As it names itself to who subscribes. Executors are told `a-1` when they start. */
  agentId = 'a-1';
  readonly #seen = new Set<string>();
  readonly #server = createServer((request, response) => void this.#serve(request, response));
  #stream: ServerResponse | undefined;

  static async listen(): Promise<ScriptedAgent> {
    const agent = new ScriptedAgent();
    await new Promise<void>((resolve) => agent.#server.listen(0, '127.0.0.1', resolve));
    return agent;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  get endpoint(): string {
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  environment(sandbox: string): ExecutorEnvironment {
    return {
      origin: `http://${this.endpoint}`,
      agentId: 'a-1',
      frameworkId: 'f-1',
      executorId: 'e-1',
      sandbox,
      recoveryTimeoutMs: 60_000,
      shutdownGraceMs: 1000,
    };
  }

  /** The same, as a child process gets it. */
  variables(sandbox: string): Record<string, string> {
    return {
      MESOS_AGENT_ENDPOINT: this.endpoint,
      MESOS_SLAVE_ID: 'a-1',
      MESOS_FRAMEWORK_ID: 'f-1',
      MESOS_EXECUTOR_ID: 'e-1',
      MESOS_SANDBOX: sandbox,
      MESOS_CHECKPOINT: '1',
      MESOS_RECOVERY_TIMEOUT: '1mins',
    };
  }

  /** False if nobody is subscribed: real agents lose the event then, too. */
  send(event: ExecutorEvent): boolean {
    if (!this.#stream) return false;
    const text = JSON.stringify(event);
    this.#stream.write(`${Buffer.byteLength(text)}\n${text}`);
    return true;
  }

  launch(launch: Launch): TaskInfo {
    const task = {
      name: launch.name,
      task_id: { value: launch.taskId },
      agent_id: { value: 'a-1' },
      data: encodeData(launch),
    };
    this.send({ type: 'LAUNCH', launch: { task } });
    return task;
  }

  kill(taskId: string): boolean {
    return this.send({ type: 'KILL', kill: { task_id: { value: taskId } } });
  }

  message(message: SchedulerMessage): void {
    this.send({ type: 'MESSAGE', message: { data: encodeData(message) } });
  }

  /** Breaks the executor's stream, as a restart of the agent does. */
  disconnect(): void {
    this.#stream?.destroy();
  }

  /** States of a task in the order they were first said. */
  states(taskId: string): string[] {
    return this.updates.filter(({ task_id }) => task_id.value === taskId).map(({ state }) => state);
  }

  termination(taskId: string): Termination | undefined {
    const last = this.updates.findLast(({ task_id, data }) => task_id.value === taskId && data !== undefined);
    return last?.data === undefined ? undefined : (decodeData(last.data) as Termination);
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    this.authorizations.push(request.headers.authorization);
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk);
    const call = JSON.parse(Buffer.concat(chunks).toString()) as ExecutorCall;
    if (call.type === 'SUBSCRIBE') {
      this.#subscribe(call, response);
      return;
    }
    response.writeHead(202).end();
    if (call.type === 'UPDATE') this.#update(call.update.status);
    if (call.type === 'MESSAGE') this.heartbeats.push(decodeData(call.message.data) as Heartbeat);
  }

  #subscribe(call: ExecutorCall & { type: 'SUBSCRIBE' }, response: ServerResponse): void {
    this.#stream?.destroy();
    this.#stream = response;
    response.on('close', () => {
      if (this.#stream === response) this.#stream = undefined;
    });
    response.writeHead(200, { 'content-type': 'application/json' });
    this.send({
      type: 'SUBSCRIBED',
      subscribed: {
        executor_info: { executor_id: { value: 'e-1' } },
        framework_info: { user: 'root', name: 'f', id: { value: 'f-1' } },
        agent_info: { hostname: 'host-1', id: { value: this.agentId } },
      },
    });
    this.subscriptions.push(call);
    for (const { status } of call.subscribe.unacknowledged_updates) this.#update(status);
  }

  #update(status: TaskStatus): void {
    const uuid = status.uuid ?? '';
    if (!this.#seen.has(uuid)) this.updates.push(status);
    this.#seen.add(uuid);
    if (this.acknowledging) this.send({ type: 'ACKNOWLEDGED', acknowledged: { task_id: status.task_id, uuid } });
  }
}
