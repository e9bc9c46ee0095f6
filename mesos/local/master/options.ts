import { type Clock, systemClock } from '#lib/std/clock.ts';
import { type Log, silentLog } from '#lib/std/log.ts';
import { type Random, systemRandom } from '#lib/std/random.ts';
import { type ServerTls, serve } from '../http.ts';
import type { Credential } from './authentication.ts';
import type { Leadership } from './leadership.ts';

/** All durations in milliseconds. Defaults are Mesos', except where the allocator is asked sooner (allocator.ts). */
export interface MasterOptions {
  readonly host: string;
  /** 0: the kernel chooses. */
  readonly port: number;
  /** Keeps the registry: which agents were admitted, are unreachable or gone. Everything else is lost with the process, as in Mesos. */
  readonly workDir: string;
  readonly allocationIntervalMs: number;
  /** Events that call for an allocation are gathered for this long. */
  readonly allocationDelayMs: number;
  /** An offer that is held for longer is taken back; undefined: none is. */
  readonly offerTimeoutMs: number | undefined;
  /** Who may run tasks as which user; undefined: everybody as anybody. */
  readonly mayRun: ((principal: string | undefined, user: string) => boolean) | undefined;
  readonly heartbeatIntervalMs: number;
  readonly agentPingTimeoutMs: number;
  readonly maxAgentPingTimeouts: number;
  /** After a restart of the master, how long agents of the registry may stay away before they are unreachable. */
  readonly agentReregisterTimeoutMs: number;
  /** After a start, how long it answers 503. */
  readonly recoveryMs: number;
  /** Who leads, where there are several masters and tests decide; undefined: this one does, or who ZooKeeper says. */
  readonly leadership: Leadership | undefined;
  /** Where masters stand for election, `zk://host:port/path`; undefined: nowhere. They share one work directory, as Mesos' masters do a replicated log. */
  readonly zk: string | undefined;
  /** How long ZooKeeper waits for a word of a master before the next one leads. */
  readonly zkSessionTimeoutMs: number;
  /** Who may call the scheduler and operator APIs; undefined: everybody. */
  readonly credentials: readonly Credential[] | undefined;
  /** The principal of a bearer token, as an authenticator module of Mesos would know it; undefined for a wrong one. */
  readonly principalOf: ((token: string) => string | undefined) | undefined;
  /** Undefined: plain HTTP. The same files serve towards others and, of an agent, towards the master. */
  readonly tls: ServerTls | undefined;
  /** How it is reached: over the network unless told. */
  readonly serve: typeof serve;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

export const masterDefaults = {
  host: '127.0.0.1',
  port: 5050,
  allocationIntervalMs: 1000,
  allocationDelayMs: 20,
  offerTimeoutMs: undefined,
  mayRun: undefined,
  heartbeatIntervalMs: 15_000,
  agentPingTimeoutMs: 15_000,
  maxAgentPingTimeouts: 5,
  agentReregisterTimeoutMs: 600_000,
  recoveryMs: 0,
  leadership: undefined,
  zk: undefined,
  zkSessionTimeoutMs: 10_000,
  credentials: undefined,
  principalOf: undefined,
  tls: undefined,
  serve,
  clock: systemClock,
  random: systemRandom,
  log: silentLog,
} satisfies Omit<MasterOptions, 'workDir'>;
