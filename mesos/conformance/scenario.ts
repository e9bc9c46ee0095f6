/** What every scenario has at hand. Plain HTTP APIs of Mesos only: what is used here must be there in a real one. */
import { type FrameworkInfo, isTerminal, type Offer, type Resource, type TaskInfo } from '#mesos/types.ts';
import { eventually, operatorCall } from '../local/testing/cluster.ts';
import { labFramework, TestScheduler } from '../local/testing/scheduler.ts';
import type { ControlledAgent, Subject } from './subject.ts';

/** What a subject must allow for a scenario to be run against it. */
export type Need = 'agents' | 'master restart' | 'two masters';

export interface Scenario {
  readonly name: string;
  readonly needs?: Need;
  run(world: World): Promise<void>;
}

/** Why the scenario cannot be run against the subject; undefined if it can. */
export function whyNotAgainst(subject: Subject, { needs }: Scenario): string | undefined {
  if (needs === 'agents' && subject.newAgent === undefined)
    return 'needs agents to kill and start again: set MESOS_AGENT_BIN';
  if (needs === 'master restart' && subject.restartMaster === undefined)
    return 'needs to restart the master, which is not ours';
  if (needs === 'two masters' && subject.masters.length < 2)
    return 'needs two masters behind one ZooKeeper: name both in MESOS_MASTER';
  return undefined;
}

let worlds = 0;

export class World implements AsyncDisposable {
  readonly subject: Subject;
  readonly url: string;
  /** Of this scenario alone, so that two do not take each other's offers. */
  readonly role: string;
  readonly #stack = new AsyncDisposableStack();

  constructor(subject: Subject) {
    this.subject = subject;
    this.url = subject.masters[0]!;
    this.role = `conformance-${process.pid}-${++worlds}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync();
  }

  /** Calls `undo` when the scenario ends, however it ends. */
  defer(undo: () => Promise<unknown>): void {
    this.#stack.defer(async () => {
      await undo();
    });
  }

  info(more: Partial<FrameworkInfo> = {}): FrameworkInfo {
    return { ...labFramework, name: this.role, roles: [this.role], ...more };
  }

  /** A subscribed scheduler; torn down at the end. `subscribe`: more of the call's body. */
  async scheduler(more: Partial<FrameworkInfo> = {}, subscribe: object = {}): Promise<TestScheduler> {
    const scheduler = new TestScheduler(this.url);
    this.defer(async () => {
      await scheduler.post({ type: 'TEARDOWN' }).catch(() => undefined);
      await scheduler[Symbol.asyncDispose]();
    });
    await scheduler.subscribe(this.info(more), subscribe);
    return scheduler;
  }

  async agent(): Promise<ControlledAgent & { readonly id: string }> {
    const agent = await this.subject.newAgent!(`${this.role}.lab`);
    this.defer(() => agent.kill());
    return { ...agent, id: await agent.start() };
  }

  operator<T>(call: object): Promise<T> {
    return operatorCall<T>(this.url, call);
  }

  /** Status and text of an operator call that may be refused. */
  async operatorStatus(call: object, url = this.url): Promise<{ status: number; text: string }> {
    const headers = { 'content-type': 'application/json', accept: 'application/json' };
    const response = await fetch(`${url}/api/v1`, { method: 'POST', headers, body: JSON.stringify(call) });
    return { status: response.status, text: await response.text() };
  }

  until<T>(what: string, probe: () => T | undefined | Promise<T | undefined>): Promise<T> {
    return eventually(what, probe, this.subject.patienceMs);
  }

  /** Long enough for what must not happen to have happened. */
  async aWhile(): Promise<void> {
    await new Promise((resolve) => setTimeout(resolve, Math.min(this.subject.patienceMs / 10, 3000)));
  }

  /** An offer of any agent, or of the one with this id, with room for a small task. */
  offer(scheduler: TestScheduler, agentId?: string): Promise<Offer> {
    return this.until('an offer', () => {
      const index = scheduler.offers.findIndex((offer) => agentId === undefined || offer.agent_id.value === agentId);
      return index < 0 ? undefined : scheduler.offers.splice(index, 1)[0];
    });
  }

  task(offer: Offer, id: string, command = 'sleep 1000'): TaskInfo {
    return {
      name: id,
      task_id: { value: id },
      agent_id: offer.agent_id,
      resources: [scalar('cpus', 0.1), scalar('mem', 32)],
      command: { shell: true, value: command },
    };
  }

  /** Launches a command on an offer of the agent, or any; gives the agent's id. */
  async launch(scheduler: TestScheduler, id: string, command?: string, agentId?: string): Promise<string> {
    const offer = await this.offer(scheduler, agentId);
    await this.accept(scheduler, offer, [this.task(offer, id, command)]);
    return offer.agent_id.value;
  }

  accept(scheduler: TestScheduler, offer: Offer, tasks: readonly TaskInfo[], refuse_seconds = 0): Promise<void> {
    const operations = [{ type: 'LAUNCH', launch: { task_infos: tasks } }];
    return scheduler.call({
      type: 'ACCEPT',
      accept: { offer_ids: [offer.id], operations, filters: { refuse_seconds } },
    });
  }

  /** The status of the task with this state, from number `from` on. */
  status(scheduler: TestScheduler, task: string, state: string, from = 0) {
    return this.until(`${task} ${state}`, () =>
      scheduler
        .statuses(task)
        .slice(from)
        .find((status) => status.state === state),
    );
  }

  /** True once a terminal state was reported. */
  hasEnded(scheduler: TestScheduler, task: string): boolean {
    return scheduler.statuses(task).some(({ state }) => isTerminal(state));
  }
}

export function scalar(name: string, value: number): Resource {
  return { name, type: 'SCALAR', scalar: { value } };
}
