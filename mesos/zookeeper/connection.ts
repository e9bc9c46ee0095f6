/**
 * One connection to one ZooKeeper server. Answers come in the order of the requests; watches come between them. It keeps its session
 * alive by pings and gives itself up when the server is silent for two thirds of the session's timeout, so that another server can be
 * tried while the session still lives.
 */
import { connect, type Socket } from 'node:net';
import type { Clock } from '#lib/std/clock.ts';
import { FrameSplitter, JuteReader, type JuteWriter } from './jute.ts';
import {
  authRequest,
  connectRequest,
  createRequest,
  isZooKeeperError,
  type NodeData,
  operations,
  pathRequest,
  readConnectAnswer,
  readData,
  readHeader,
  request,
  type SessionId,
  xids,
  ZooKeeperError,
} from './messages.ts';
import type { ServerAddress } from './url.ts';

const maxWaiting = 1000;

export interface ConnectOptions {
  readonly server: ServerAddress;
  /** The one to go on with, or `noSession`. */
  readonly session: SessionId;
  /** What is asked for; the server may grant another one. */
  readonly timeoutMs: number;
  /** For the connection to be there, the handshake included. */
  readonly connectTimeoutMs: number;
  /** A server that has seen less than we have refuses us. */
  readonly lastZxid: bigint;
  readonly credentials: string | undefined;
  readonly clock: Clock;
}

/** The session of before is over, and with it every node that was to vanish with it. */
export class SessionExpiredError extends Error {}

interface Waiting {
  readonly xid: number;
  readonly what: string;
  readonly answer: PromiseWithResolvers<JuteReader>;
}

export class ZooKeeperConnection implements Disposable {
  readonly #socket: Socket;
  readonly #clock: Clock;
  readonly #frames = new FrameSplitter();
  readonly #handshake = Promise.withResolvers<Buffer>();
  #waiting: Waiting[] = [];
  #watches: PromiseWithResolvers<void>[] = [];
  #established = false;
  #failure: Error | undefined;
  #timer: Disposable | undefined;
  #heardMs = 0;
  #nextXid = 1;
  #session: SessionId & { readonly timeoutMs: number };
  #lastZxid: bigint;
  readonly #isDigest: boolean;

  private constructor({ server, session, timeoutMs, lastZxid, credentials, clock }: ConnectOptions) {
    this.#clock = clock;
    this.#session = { ...session, timeoutMs };
    this.#lastZxid = lastZxid;
    this.#isDigest = credentials !== undefined;
    this.#socket = connect({ ...server, noDelay: true });
    this.#socket.on('connect', () => this.#socket.write(connectRequest(session, timeoutMs, lastZxid)));
    this.#socket.on('data', (chunk: Buffer) => this.#received(chunk));
    this.#socket.on('error', (error) => this.#fail(error));
    this.#socket.on('close', () => this.#fail(new Error('The ZooKeeper server closed the connection')));
  }

  /** Throws SessionExpiredError if the server says so, and what went wrong with the connection. */
  static async open(options: ConnectOptions, signal: AbortSignal): Promise<ZooKeeperConnection> {
    const connection = new ZooKeeperConnection(options);
    const stop = () => connection.#fail(new Error('Stopped', { cause: signal.reason }));
    signal.addEventListener('abort', stop, { once: true });
    using _ = options.clock.timeout(
      () => connection.#fail(new Error(`No answer within ${options.connectTimeoutMs} ms`)),
      options.connectTimeoutMs,
    );
    const { host, port } = options.server;
    try {
      connection.#establish(readConnectAnswer(await connection.#handshake.promise));
      if (options.credentials !== undefined) {
        await connection.#call(xids.auth, operations.auth, 'the credentials', authRequest(options.credentials));
      }
      return connection;
    } catch (error) {
      connection[Symbol.dispose]();
      if (error instanceof SessionExpiredError) throw error;
      throw new Error(`Cannot connect to ZooKeeper at ${host}:${port}`, { cause: error });
    } finally {
      signal.removeEventListener('abort', stop);
    }
  }

  /** With the timeout that the server granted. */
  get session(): SessionId & { readonly timeoutMs: number } {
    return this.#session;
  }

  /** The youngest transaction that was heard of. */
  get lastZxid(): bigint {
    return this.#lastZxid;
  }

  /** Resolves with the next watch that fires; rejects when the connection ends. Take it before the reading that sets the watch. */
  changed(): Promise<void> {
    const next = Promise.withResolvers<void>();
    next.promise.catch(() => undefined); // Whoever gave up waiting need not be told.
    if (this.#failure !== undefined) next.reject(this.#failure);
    else this.#watches.push(next);
    return next.promise;
  }

  /** Names of the children; sets a watch on them. Undefined if there is no such node: then the watch is for its coming. */
  async children(path: string): Promise<readonly string[] | undefined> {
    try {
      const body = pathRequest(path, true);
      return (await this.#numbered(operations.getChildren, `getChildren ${path}`, body)).strings();
    } catch (error) {
      if (!isZooKeeperError(error, 'NoNode')) throw error;
    }
    return (await this.#exists(path)) ? await this.children(path) : undefined;
  }

  /** Undefined if there is no such node. */
  async data(path: string): Promise<NodeData | undefined> {
    try {
      return readData(await this.#numbered(operations.getData, `getData ${path}`, pathRequest(path, false)));
    } catch (error) {
      if (isZooKeeperError(error, 'NoNode')) return undefined;
      throw error;
    }
  }

  /** The path of the new node, which ends in a number for a candidate. */
  async create(path: string, data: string, mode: 'persistent' | 'candidate'): Promise<string> {
    const body = createRequest(path, data, mode, this.#isDigest);
    return (await this.#numbered(operations.create, `create ${path}`, body)).string();
  }

  /** Ends the session, so that its nodes vanish at once. */
  async closeSession(): Promise<void> {
    await this.#numbered(operations.closeSession, 'closeSession');
  }

  [Symbol.dispose](): void {
    this.#fail(new Error('The connection to ZooKeeper was closed'));
  }

  async #exists(path: string): Promise<boolean> {
    try {
      await this.#numbered(operations.exists, `exists ${path}`, pathRequest(path, true));
      return true;
    } catch (error) {
      if (isZooKeeperError(error, 'NoNode')) return false;
      throw error;
    }
  }

  #numbered(operation: number, what: string, body?: JuteWriter): Promise<JuteReader> {
    const xid = this.#nextXid;
    this.#nextXid = xid === 2 ** 31 - 1 ? 1 : xid + 1;
    return this.#call(xid, operation, what, body);
  }

  #call(xid: number, operation: number, what: string, body?: JuteWriter): Promise<JuteReader> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    if (this.#waiting.length >= maxWaiting)
      return Promise.reject(new Error(`${maxWaiting} requests wait for ZooKeeper`));
    const answer = Promise.withResolvers<JuteReader>();
    this.#waiting.push({ xid, what, answer });
    this.#socket.write(request(xid, operation, body));
    return answer.promise;
  }

  #establish(granted: SessionId & { readonly timeoutMs: number }): void {
    if (granted.timeoutMs <= 0) throw new SessionExpiredError('The session with ZooKeeper has expired');
    this.#session = granted;
    this.#watch();
  }

  /** Every third of the timeout: has the server been silent for two, and if not, a ping. */
  #watch(): void {
    const { timeoutMs } = this.#session;
    this.#timer = this.#clock.timeout(() => {
      const silentMs = this.#clock.monotonic() - this.#heardMs;
      if (silentMs >= (timeoutMs * 2) / 3)
        return this.#fail(new Error(`ZooKeeper was silent for ${Math.round(silentMs)} ms`));
      this.#socket.write(request(xids.ping, operations.ping));
      this.#watch();
    }, timeoutMs / 3);
  }

  #received(chunk: Buffer): void {
    this.#heardMs = this.#clock.monotonic();
    try {
      for (const frame of this.#frames.push(chunk)) this.#take(frame);
    } catch (error) {
      this.#fail(error as Error);
    }
  }

  #take(frame: Buffer): void {
    if (!this.#established) {
      this.#established = true;
      this.#handshake.resolve(frame);
      return;
    }
    const reader = new JuteReader(frame);
    const { xid, zxid, error } = readHeader(reader);
    if (zxid > this.#lastZxid) this.#lastZxid = zxid;
    if (xid === xids.ping) return;
    if (xid === xids.watch) {
      for (const watch of this.#watches.splice(0)) watch.resolve();
      return;
    }
    const next = this.#waiting.shift();
    if (next?.xid !== xid) throw new Error(`ZooKeeper answered request ${xid} where ${next?.xid ?? 'none'} was next`);
    if (error === 0) next.answer.resolve(reader);
    else next.answer.reject(new ZooKeeperError(next.what, error));
  }

  #fail(error: Error): void {
    if (this.#failure !== undefined) return;
    this.#failure = error;
    this.#timer?.[Symbol.dispose]();
    this.#socket.destroy();
    this.#handshake.reject(error);
    this.#handshake.promise.catch(() => undefined); // Read by `open` alone, which may be done with it.
    for (const { answer } of this.#waiting.splice(0)) answer.reject(error);
    for (const watch of this.#watches.splice(0)) watch.reject(error);
  }
}
