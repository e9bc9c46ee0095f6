import { type Clock, systemClock } from '#lib/std/clock.ts';
import { type Log, silentLog } from '#lib/std/log.ts';
import { type Random, systemRandom } from '#lib/std/random.ts';
import type { Connect } from '#mesos/http.ts';
import type { Attribute, Resource } from '#mesos/types.ts';
import { type ServerTls, serve } from '../http.ts';
import type { Launcher } from './launcher.ts';
import { processLauncher } from './process.ts';

/** All durations in milliseconds. Defaults are Mesos'. */
export interface AgentOptions {
  readonly host: string;
  /** 0: the kernel chooses. Executors of an earlier agent come back to its port only. */
  readonly port: number;
  /** The master's URL, such as http://127.0.0.1:5050, or where ZooKeeper names the leading one: zk://127.0.0.1:2181/mesos. */
  readonly master: string;
  /** Keeps the journal and the sandboxes. One agent at a time. */
  readonly workDir: string;
  readonly hostname: string;
  readonly resources: readonly Resource[];
  readonly attributes: readonly Attribute[];
  /** Given to every executor. The agent's own environment is not. */
  readonly executorEnvironment: Readonly<Record<string, string>>;
  /** What may differ from what the work directory remembers: nothing, or more resources and attributes. */
  readonly reconfigurationPolicy: 'equal' | 'additive';
  readonly executorRegistrationTimeoutMs: number;
  readonly executorReregistrationTimeoutMs: number;
  readonly executorShutdownGracePeriodMs: number;
  /** First delay before an update is sent again; doubles up to ten minutes. */
  readonly updateRetryMs: number;
  readonly registrationBackoffMs: number;
  /** A master that has not pinged for so long is registered with anew. */
  readonly masterPingTimeoutMs: number;
  readonly launcher: Launcher;
  /** How the master is reached, if not over the network. */
  readonly connect?: Connect;
  /** Resolves at the end of a turn of the event loop: what was said in it goes to the master in one call. */
  readonly turn: () => Promise<void>;
  /** Undefined: plain HTTP. The same files serve towards others and, of an agent, towards the master. */
  readonly tls: ServerTls | undefined;
  /** How it is reached: over the network unless told. */
  readonly serve: typeof serve;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

export const agentDefaults = {
  host: '127.0.0.1',
  port: 5051,
  attributes: [],
  executorEnvironment: {},
  reconfigurationPolicy: 'equal',
  executorRegistrationTimeoutMs: 60_000,
  executorReregistrationTimeoutMs: 2000,
  executorShutdownGracePeriodMs: 5000,
  updateRetryMs: 10_000,
  registrationBackoffMs: 200,
  masterPingTimeoutMs: 75_000,
  launcher: processLauncher,
  turn: () => new Promise<void>((resolve) => setImmediate(resolve)),
  tls: undefined,
  serve,
  clock: systemClock,
  random: systemRandom,
  log: silentLog,
} satisfies Partial<AgentOptions>;
