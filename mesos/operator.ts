/** The operator API of the leading master: questions, and a stream of what changes. Both are hints for a cache: ask again now and then. */
import type { Clock } from '#lib/std/clock.ts';
import { type Log, silentLog } from '#lib/std/log.ts';
import { type Random, systemRandom } from '#lib/std/random.ts';
import type { Authentication } from './authentication.ts';
import { CallQueue, type Connect, MesosHttpError, openStream, type Target } from './http.ts';
import { parseLossless } from './json.ts';
import { chooseMaster, type MasterChoice } from './leader.ts';
import type { AgentsAnswer, MasterAnswer, OperatorEvent, ScheduleAnswer, TasksAnswer } from './operator-types.ts';
import { check } from './schema/codec.ts';
import type { TlsFiles } from './tls.ts';
import { startWatchdog } from './watchdog.ts';

const path = '/api/v1';
const missedHeartbeats = 5;

export interface OperatorOptions {
  /** URLs, or one zk://. */
  readonly masters: readonly string[];
  readonly authentication?: Authentication;
  readonly tls?: TlsFiles;
  /** Instead of the network. */
  readonly connect?: Connect;
  readonly clock: Clock;
  /** For ZooKeeper: the system's unless told. */
  readonly random?: Random;
  readonly log?: Log;
  /** For one call; 30 s unless told. */
  readonly timeoutMs?: number;
}

export interface OperatorClient extends AsyncDisposable {
  /**
   * Any call; gives the JSON of the answer, or undefined if that is empty (changes answer 200 or 202 without a body). Follows redirects.
   * Throws MesosHttpError for a refusal and the connection's error if no master of the list answered.
   */
  call(call: { readonly type: string; readonly [key: string]: unknown }): Promise<unknown>;
  agents(): Promise<AgentsAnswer>;
  tasks(): Promise<TasksAnswer>;
  master(): Promise<MasterAnswer>;
  /** Of maintenance. */
  schedule(): Promise<ScheduleAnswer>;
  /** One subscription; ends with the stream, throws when it breaks or stays silent for 5 heartbeats. */
  subscribe(signal: AbortSignal): AsyncGenerator<OperatorEvent>;
}

export function operatorClient(options: OperatorOptions): OperatorClient {
  const { masters, clock, random = systemRandom, log = silentLog, authentication, tls, connect } = options;
  const choice = chooseMaster(masters, { clock, random, log, scheme: tls ? 'https' : 'http' });
  const stop = new AbortController();
  const target = (origin: string): Target => ({
    origin,
    ...(authentication && { authentication }),
    ...(tls && { tls }),
    ...(connect && { connect }),
  });
  let queue: { readonly origin: string; readonly calls: CallQueue } | undefined;

  async function calls(origin: string): Promise<CallQueue> {
    if (queue?.origin !== origin) {
      await queue?.calls[Symbol.asyncDispose]();
      queue = { origin, calls: new CallQueue(target(origin), path, { timeoutMs: options.timeoutMs ?? 30_000 }) };
    }
    return queue.calls;
  }

  async function call(body: { readonly type: string }): Promise<unknown> {
    check('masterCall', body);
    const text = await leading(choice, stop.signal, async (origin) => await (await calls(origin)).send(body));
    return text === '' ? undefined : parseLossless(text);
  }

  return {
    call,
    agents: async () => ((await call({ type: 'GET_AGENTS' })) as { get_agents: AgentsAnswer }).get_agents,
    tasks: async () => ((await call({ type: 'GET_TASKS' })) as { get_tasks: TasksAnswer }).get_tasks,
    master: async () => ((await call({ type: 'GET_MASTER' })) as { get_master: MasterAnswer }).get_master,
    async schedule() {
      const answer = (await call({ type: 'GET_MAINTENANCE_SCHEDULE' })) as { get_maintenance_schedule: ScheduleAnswer };
      return answer.get_maintenance_schedule;
    },
    async *subscribe(signal) {
      const open = (origin: string) => openStream(target(origin), path, { type: 'SUBSCRIBE' }, { signal });
      await using stream = await leading(choice, signal, open);
      using watchdog = startWatchdog(options.clock, 30_000, (silentMs) =>
        stream.destroy(new Error(`The master was silent for ${Math.round(silentMs / 1000)} s`)),
      );
      for await (const record of stream.events) {
        const event = record as OperatorEvent;
        const seconds = event.type === 'SUBSCRIBED' ? (event.subscribed.heartbeat_interval_seconds ?? 15) : undefined;
        watchdog.heard(seconds === undefined ? undefined : missedHeartbeats * seconds * 1000);
        using _ = watchdog.hold();
        yield event;
      }
    },
    async [Symbol.asyncDispose]() {
      stop.abort(new Error('The client of the operator API is closed'));
      await choice[Symbol.asyncDispose]();
      await queue?.calls[Symbol.asyncDispose]();
    },
  };
}

/** Runs `attempt` against one master after the other until one that leads has answered; each master of a list is tried once. */
async function leading<T>(
  choice: MasterChoice,
  signal: AbortSignal,
  attempt: (origin: string) => Promise<T>,
): Promise<T> {
  for (let failures = 0; ; ) {
    const origin = await choice.next(signal);
    try {
      const result = await attempt(origin);
      choice.succeeded();
      return result;
    } catch (error) {
      if (error instanceof MesosHttpError && error.status === 307) {
        choice.redirected(error.location);
        continue;
      }
      if (error instanceof MesosHttpError && error.status < 500) throw error;
      choice.failed();
      if (++failures >= choice.size) throw error;
    }
  }
}
