/**
 * A session that outlives its connections: one server after the other is tried, with the same session as long as that lives. Watches are
 * not carried over: whoever works with a connection reads everything anew with each, which is right whatever happened in between.
 */
import { backoffMs } from '#lib/std/backoff.ts';
import type { Clock } from '#lib/std/clock.ts';
import { messageOf } from '#lib/std/errors.ts';
import type { Log } from '#lib/std/log.ts';
import type { Random } from '#lib/std/random.ts';
import { SessionExpiredError, ZooKeeperConnection } from './connection.ts';
import { noSession, type SessionId } from './messages.ts';
import { describeZooKeeper, type ServerAddress, type ZooKeeperUrl } from './url.ts';

const retry = { firstMs: 100, maxMs: 5_000 } as const;
const minConnectTimeoutMs = 500;
/** One that is just starting takes a connection and may never answer: a session lives for so many tries at each server. */
const triesAtEach = 4;

export interface SessionOptions {
  readonly url: ZooKeeperUrl;
  /** How long ZooKeeper waits for a word of us before it takes us for dead. Servers have bounds of their own for it. */
  readonly timeoutMs: number;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

export interface SessionWork {
  /** Called with each connection, one at a time. Ends by an error when the connection does. */
  work(connection: ZooKeeperConnection): Promise<never>;
  /** Nodes of the session are gone, or must be taken for gone: a server said so, or none was reached for as long as a session may live. */
  expired?(): void;
  /** A server could not be reached or kept, and why. */
  failed?(reason: string): void;
}

interface State {
  session: SessionId;
  lastZxid: bigint;
  /** By the monotonic clock. Servers that were up have forgotten the session by then. */
  livesUntilMs: number;
}

/** Keeps a session until `signal` aborts; ends it then. */
export async function keepSession(options: SessionOptions, work: SessionWork, signal: AbortSignal): Promise<void> {
  const { clock, random, log, url } = options;
  const state: State = { session: noSession, lastZxid: 0n, livesUntilMs: 0 };
  const servers = shuffled(url.servers, random);
  for (let attempt = 0, failures = 0; !signal.aborted; attempt++) {
    const beganMs = clock.monotonic();
    try {
      using connection = await openConnection(options, servers[attempt % servers.length]!, state, signal);
      await workWith(connection, work, state, clock, signal);
    } catch (error) {
      if (signal.aborted) return;
      noteExpiry(error, state, clock, work);
      work.failed?.(messageOf(error));
      log.warn('No connection to ZooKeeper', { zookeeper: describeZooKeeper(url), reason: messageOf(error) });
    }
    failures = clock.monotonic() - beganMs > retry.maxMs ? 1 : failures + 1;
    // Every server is tried before a pause: the session lives only for so long.
    const rounds = failures / servers.length;
    if (Number.isInteger(rounds)) await clock.sleep(backoffMs(rounds, retry, random), signal).catch(() => undefined);
  }
}

async function openConnection(
  { clock, url, timeoutMs }: SessionOptions,
  server: ServerAddress,
  { session, lastZxid }: State,
  signal: AbortSignal,
): Promise<ZooKeeperConnection> {
  const connectTimeoutMs = Math.max(minConnectTimeoutMs, Math.round(timeoutMs / url.servers.length / triesAtEach));
  const { credentials } = url;
  return await ZooKeeperConnection.open(
    { server, session, timeoutMs, connectTimeoutMs, lastZxid, credentials, clock },
    signal,
  );
}

async function workWith(
  connection: ZooKeeperConnection,
  work: SessionWork,
  state: State,
  clock: Clock,
  signal: AbortSignal,
): Promise<void> {
  state.session = connection.session;
  const stopped = Promise.withResolvers<void>();
  const stop = () => stopped.resolve();
  signal.addEventListener('abort', stop, { once: true });
  try {
    await Promise.race([work.work(connection), stopped.promise]);
    await endSession(connection, clock);
  } finally {
    signal.removeEventListener('abort', stop);
    state.lastZxid = connection.lastZxid;
    state.livesUntilMs = clock.monotonic() + connection.session.timeoutMs;
  }
}

/** Not waited for long: a session that is not ended expires. */
async function endSession(connection: ZooKeeperConnection, clock: Clock): Promise<void> {
  await Promise.race([connection.closeSession().catch(() => undefined), clock.sleep(minConnectTimeoutMs)]);
}

function noteExpiry(error: unknown, state: State, clock: Clock, work: SessionWork): void {
  if (state.session.id === noSession.id) return;
  if (!(error instanceof SessionExpiredError) && clock.monotonic() < state.livesUntilMs) return;
  state.session = noSession;
  work.expired?.();
}

function shuffled<T>(items: readonly T[], random: Random): T[] {
  return items
    .map((item) => ({ item, place: random.next() }))
    .sort((a, b) => a.place - b.place)
    .map(({ item }) => item);
}
