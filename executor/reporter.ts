/** Status updates: made, journalled with the step that caused them, then sent. What cannot be sent goes with the next SUBSCRIBE. */
import type { Termination } from '#lib/api/launch.ts';
import type { OperationReport } from '#lib/api/messages.ts';
import type { Clock } from '#lib/std/clock.ts';
import type { Random } from '#lib/std/random.ts';
import { encodeData, encodeUuid } from '#mesos/bytes.ts';
import { isTerminal, type TaskInfo, type TaskState, type TaskStatus } from '#mesos/types.ts';
import type { Journal } from './journal/journal.ts';

export interface StatusWords {
  readonly state: TaskState;
  readonly message: string;
  /** Put into the update as JSON. */
  readonly data?: object;
}

export interface ReporterDeps {
  readonly journal: Journal;
  readonly executorId: string;
  readonly clock: Clock;
  readonly random: Random;
  send(status: TaskStatus): void;
  /** Something that a heartbeat tells has changed. */
  changed(): void;
}

export class Reporter {
  readonly #deps: ReporterDeps;

  constructor(deps: ReporterDeps) {
    this.#deps = deps;
  }

  /** Takes a task on, in the place of another if told: from now on it is in every SUBSCRIBE until the agent has heard of it. */
  accept(info: TaskInfo, words: StatusWords, state?: unknown, replaces?: string): void {
    const taskId = info.task_id.value;
    const status = this.#status(taskId, words);
    this.#deps.journal.accept(info, { taskId, state, updates: [status], ended: isTerminal(words.state) }, replaces);
    this.#publish([status]);
  }

  /** Answers a launch that is not taken on. */
  refuse(info: TaskInfo, termination: Termination): void {
    this.accept(info, { state: 'TASK_FAILED', message: termination.message, data: termination });
  }

  /** Ends a task of which nothing is known here. Not stored: whoever wants it to end says so again. */
  disown(taskId: string, termination: Termination): void {
    this.#deps.send(this.#status(taskId, { state: 'TASK_FAILED', message: termination.message, data: termination }));
  }

  /** Stores one step of a task and sends what it has to say. */
  step(
    taskId: string,
    step: { state?: unknown; words?: readonly StatusWords[]; operations?: readonly OperationReport[] },
  ): void {
    const { state, words = [], operations = [] } = step;
    const updates = words.map((each) => this.#status(taskId, each));
    const ended = words.some((each) => isTerminal(each.state));
    this.#deps.journal.save({ taskId, state, updates, operations, ended });
    this.#publish(updates);
  }

  #publish(updates: readonly TaskStatus[]): void {
    for (const status of updates) this.#deps.send(status);
    this.#deps.changed();
  }

  #status(taskId: string, { state, message, data }: StatusWords): TaskStatus {
    return {
      task_id: { value: taskId },
      executor_id: { value: this.#deps.executorId },
      source: 'SOURCE_EXECUTOR',
      state,
      message,
      timestamp: this.#deps.clock.now() / 1000,
      uuid: encodeUuid(this.#deps.random.uuid()),
      ...(data === undefined ? {} : { data: encodeData(data) }),
    };
  }
}
