/**
 * HTTP between imitated processes, without sockets: the handlers of the local Mesos and the clients of the Mesos library talk as ever.
 * Within one connection order is kept, as TCP keeps it; between connections nothing is. What is sent while two machines are cut off from
 * each other waits for the cut to heal, as TCP sends again, unless the connection is given up first.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Clock } from '#lib/std/clock.ts';
import type { Random } from '#lib/std/random.ts';
import type { Connect, Connection } from '#mesos/http.ts';
import type { Handler, serve } from '#mesos/local/http.ts';
import { RegistryLostError } from '#mesos/local/master/registry.ts';
import type { Life } from './life.ts';

export type Request = Parameters<Connection['request']>[0];
type Response = Awaited<ReturnType<Connection['request']>>;

interface Server {
  readonly life: Life;
  readonly handler: Handler;
  readonly failed: (error: unknown) => void;
}

/** What chance does to one thing that is sent. */
export interface Tampering {
  /** A request on its way to a server: another text, an answer in the server's stead, a later arrival, an answer that is lost. */
  request(
    from: string,
    to: string,
    path: string,
    body: string,
  ): { body: string; status?: number; delayMs?: number; loseAnswer?: boolean };
  /** A piece of a stream: the pieces that arrive. `torn`: the connection breaks behind them. */
  chunk(from: string, to: string, chunk: Buffer): { readonly pieces: readonly Buffer[]; readonly torn?: boolean };
}

/** Told what a client sends, hears and loses, at the moment when it does. */
export interface Ears {
  sent(client: Life, request: Request): void;
  /** `headers` of the answer that the piece belongs to. */
  heard(client: Life, request: Request, headers: Readonly<Record<string, string>>, piece: Buffer): void;
  /** No more of this answer will be heard. */
  closed(client: Life, request: Request): void;
}

export class Network {
  readonly #servers = new Map<string, Server>();
  readonly #exchanges = new Set<Exchange>();
  /** `from to`: nothing that is sent this way arrives. */
  readonly #cuts = new Set<string>();
  /** `from to`: what is sent this way may take so many milliseconds longer. */
  readonly #slow = new Map<string, number>();
  readonly clock: Clock;
  readonly random: Random;
  readonly tampering: Tampering;
  readonly ears: Ears;

  constructor(clock: Clock, random: Random, tampering: Tampering, ears: Ears) {
    this.clock = clock;
    this.random = random;
    this.tampering = tampering;
    this.ears = ears;
  }

  /** For startMaster and startAgent. */
  serveIn(life: Life): typeof serve {
    return async ({ host, port }, handler, failed) => {
      const origin = `http://${host}:${port}`;
      const server: Server = { life, handler, failed };
      this.#servers.set(origin, server);
      const close = () => {
        if (this.#servers.get(origin) === server) this.#servers.delete(origin);
        for (const exchange of [...this.#exchanges]) if (exchange.server === life) exchange.breakOff('socket hang up');
      };
      life.onEnd(close);
      return { port, [Symbol.asyncDispose]: async () => close() };
    };
  }

  /** For every client of the Mesos library. */
  connectFrom(life: Life): Connect {
    return ({ origin }) => {
      const open = new Set<Exchange>();
      let last: Promise<unknown> = Promise.resolve();
      let isClosed = false;
      const end = () => {
        isClosed = true;
        for (const exchange of [...open]) exchange.abandon(new Error('The connection was closed'));
      };
      life.onEnd(end);
      return {
        request: async (request) => {
          const turn = last;
          const sent = life.call(async () => {
            await turn;
            if (isClosed) throw new Error('The connection was closed');
            return await this.#send(life, origin, request, open);
          });
          last = sent.then(
            () => undefined,
            () => undefined,
          );
          return await sent;
        },
        destroy: async () => end(),
      };
    };
  }

  /** Nothing that `from` sends reaches `to` any more. A machine is what comes before the slash in a life's name. */
  cut(from: string, to: string): void {
    this.#cuts.add(`${from} ${to}`);
  }

  /** What is on its way between two machines may take so much longer, each connection by itself. */
  slowDown(a: string, b: string, maxMs: number): void {
    for (const way of [`${a} ${b}`, `${b} ${a}`]) this.#slow.set(way, maxMs);
  }

  heal(): void {
    this.#cuts.clear();
    this.#slow.clear();
    for (const exchange of [...this.#exchanges]) {
      if (exchange.isHeld && this.random.next() < 0.5) exchange.breakOff('connection reset');
      else exchange.release();
    }
  }

  /** Breaks every connection between two machines: both ends are told. */
  reset(a: string, b: string): void {
    for (const exchange of this.#between(a, b)) exchange.breakOff('connection reset');
  }

  /** As a firewall that forgets: nothing arrives on the present connections any more, and neither end is told. */
  forget(a: string, b: string): void {
    for (const exchange of this.#between(a, b)) exchange.forget();
  }

  isCut(from: Life | undefined, to: Life | undefined): boolean {
    return this.#cuts.size > 0 && this.#cuts.has(`${machineOf(from)} ${machineOf(to)}`);
  }

  slownessMs(from: Life | undefined, to: Life | undefined): number {
    return this.#slow.size === 0 ? 0 : (this.#slow.get(`${machineOf(from)} ${machineOf(to)}`) ?? 0);
  }

  #between(a: string, b: string): Exchange[] {
    return [...this.#exchanges].filter(({ client, server }) => {
      const [from, to] = [machineOf(client), machineOf(server)];
      return (from === a && to === b) || (from === b && to === a);
    });
  }

  #send(life: Life, origin: string, request: Request, open: Set<Exchange>): Promise<Response> {
    const server = this.#servers.get(origin);
    const exchange = new Exchange(this, life, server, request, (ended) => {
      open.delete(ended);
      this.#exchanges.delete(ended);
    });
    open.add(exchange);
    this.#exchanges.add(exchange);
    this.ears.sent(life, request);
    return exchange.response;
  }
}

function machineOf(life: Life | undefined): string {
  return life?.name.split('/', 1)[0] ?? '';
}

/** TCP gives up sending again after about this. */
const forgottenMs = 15 * 60_000;

/** One request and its answer, which may go on for hours. */
class Exchange {
  readonly client: Life;
  readonly server: Life | undefined;
  readonly #network: Network;
  readonly #answer = Promise.withResolvers<Response>();
  readonly #body = new Body();
  readonly #ended: (exchange: Exchange) => void;
  readonly #closed: (() => void)[] = [];
  #held: (() => void)[] = [];
  readonly #request: Request;
  /** Of the slowness of the way, what is this connection's share. */
  readonly #slowness: number;
  #lastMs = 0;
  #over = false;
  #forgotten = false;
  /** The client has given up: it hears nothing of what is still on its way. */
  #abandoned = false;
  #status = 200;
  #headers: Record<string, string> = {};
  #timer: Disposable | undefined;

  constructor(
    network: Network,
    client: Life,
    server: Server | undefined,
    request: Request,
    ended: (exchange: Exchange) => void,
  ) {
    this.#network = network;
    this.#request = request;
    this.#slowness = network.random.next();
    this.client = client;
    this.server = server?.life;
    this.#ended = ended;
    this.#answer.promise.catch(() => undefined);
    this.#body.onDestroyed = (reason) => this.abandon(reason);
    const late = () => this.abandon(new Error('Headers Timeout Error'));
    this.#timer = client.clock.timeout(late, request.headersTimeout);
    request.signal?.addEventListener('abort', () => this.abandon(request.signal!.reason), { once: true });
    if (request.signal?.aborted) this.abandon(request.signal.reason);
    this.#up(() => this.#arrive(server, request));
  }

  get response(): Promise<Response> {
    return this.#answer.promise;
  }

  get isHeld(): boolean {
    return this.#held.length > 0;
  }

  release(): void {
    for (const again of this.#held.splice(0)) again();
  }

  /** Nothing arrives any more, on either side. */
  forget(): void {
    this.#forgotten = true;
    this.#network.clock.timeout(() => this.#end(), forgottenMs);
  }

  /** The client gives up: the server hears of it, unless they are cut off from each other. */
  abandon(reason: unknown): void {
    if (this.#over) return;
    this.#abandoned = true;
    this.#answer.reject(reason);
    this.#body.fail(reason);
    this.#network.ears.closed(this.client, this.#request);
    // What could not be delivered so far is not sent again for a connection that is closed.
    this.#held = [];
    this.#up(() => this.#end());
  }

  /** Both sides lose the connection. */
  breakOff(reason: string): void {
    if (this.#over) return;
    this.client.enter(() => {
      this.#answer.reject(new Error(reason));
      this.#body.fail(new Error(reason));
      this.#network.ears.closed(this.client, this.#request);
    });
    this.#end();
  }

  #end(): void {
    if (this.#over) return;
    this.#over = true;
    this.#timer?.[Symbol.dispose]();
    this.#ended(this);
    for (const closed of this.#closed) this.server?.enter(closed);
  }

  /** To the server. */
  #up(deliver: () => void): void {
    this.#send(this.client, this.server, deliver);
  }

  /** To the client. */
  #down(deliver: () => void): void {
    this.#send(this.server, this.client, deliver);
  }

  /** After the way through the network, in order. */
  #send(from: Life | undefined, to: Life | undefined, deliver: () => void): void {
    const { clock, random } = this.#network;
    const now = clock.monotonic();
    const slowMs = Math.floor(this.#slowness * this.#network.slownessMs(from, to));
    this.#lastMs = Math.max(this.#lastMs, now + 1 + Math.floor(random.next() * 4) + slowMs);
    clock.timeout(() => {
      if (this.#over || this.#forgotten) return;
      if (this.#network.isCut(from, to)) this.#held.push(() => this.#send(from, to, deliver));
      else deliver();
    }, this.#lastMs - now);
  }

  #arrive(server: Server | undefined, request: Request): void {
    const { path, body } = request;
    if (!server || server.life.dead) {
      this.breakOff('connect ECONNREFUSED');
      return;
    }
    const tampered = this.#network.tampering.request(this.client.name, server.life.name, path, body);
    if (tampered.delayMs) {
      this.#network.clock.timeout(() => !this.#over && this.#serve(server, request, tampered), tampered.delayMs);
    } else this.#serve(server, request, tampered);
  }

  #serve(server: Server, { path, headers }: Request, tampered: ReturnType<Tampering['request']>): void {
    if (server.life.dead) {
      this.breakOff('socket hang up');
      return;
    }
    const response = this.#serverResponse(tampered.loseAnswer ?? false);
    if (tampered.status !== undefined) {
      response.writeHead(tampered.status).end();
      return;
    }
    const lower = Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]));
    const incoming = {
      ...{ method: 'POST', url: path, headers: lower, destroyed: false, complete: true },
      async *[Symbol.asyncIterator]() {
        yield Buffer.from(tampered.body);
      },
    };
    server.life.enter(() => {
      Promise.try(server.handler, incoming as unknown as IncomingMessage, response as unknown as ServerResponse).catch(
        (error: unknown) => {
          const { status, message } = error as { status?: number; message: string };
          if (status !== undefined) return void response.writeHead(status).end(message);
          if (!(error instanceof RegistryLostError)) throw error;
          server.failed(error);
          this.breakOff('socket hang up');
        },
      );
    });
  }

  #serverResponse(loseAnswer: boolean) {
    const head = () => {
      if (loseAnswer) {
        this.breakOff('the answer was lost');
        return;
      }
      this.#timer?.[Symbol.dispose]();
      const response = { statusCode: this.#status, headers: this.#headers, body: this.#body };
      this.client.enter(() => this.#answer.resolve(response));
    };
    let sent = false;
    const sendHead = () => {
      if (!sent) this.#down(head);
      sent = true;
    };
    const send = (pieces: readonly Buffer[], torn = false) => {
      for (const piece of pieces) this.#down(() => this.client.enter(() => this.#hear(piece)));
      if (torn) this.#down(() => this.breakOff('connection reset in the middle of a record'));
    };
    const write = (chunk: Buffer | string) => {
      sendHead();
      const { pieces, torn } = this.#tampered(Buffer.from(chunk as string));
      send(pieces, torn);
    };
    const end = () => {
      this.client.enter(() => {
        this.#body.finish();
        this.#network.ears.closed(this.client, this.#request);
      });
      this.#end();
    };
    /** What fits into one packet arrives at once. */
    const whole = (piece: Buffer | undefined) =>
      this.#down(() => {
        head();
        if (piece) this.client.enter(() => this.#hear(piece));
        if (!this.#over) end();
      });
    const response = {
      headersSent: false,
      writableLength: 0,
      setHeader: (name: string, value: string) => {
        this.#headers[name.toLowerCase()] = value;
      },
      writeHead: (status: number, headers: Record<string, string | number> = {}) => {
        this.#status = status;
        for (const [name, value] of Object.entries(headers)) this.#headers[name.toLowerCase()] = String(value);
        response.headersSent = true;
        return response;
      },
      flushHeaders: sendHead,
      write,
      end: (text?: Buffer | string) => {
        const isEmpty = text === undefined || text.length === 0;
        const { pieces, torn } = isEmpty ? { pieces: [] } : this.#tampered(Buffer.from(text as string));
        if (!sent && !torn && pieces.length <= 1) return whole(pieces[0]);
        sendHead();
        send(pieces, torn);
        this.#down(end);
      },
      destroy: () => this.breakOff('destroyed by the server'),
      on: (event: string, callback: () => void) => {
        if (event === 'close') this.#closed.push(callback);
      },
    };
    return response;
  }

  #hear(piece: Buffer): void {
    if (this.#abandoned) return;
    this.#body.push(piece);
    this.#network.ears.heard(this.client, this.#request, this.#headers, piece);
  }

  #tampered(chunk: Buffer): ReturnType<Tampering['chunk']> {
    return this.#network.tampering.chunk(this.server!.name, this.client.name, chunk);
  }
}

/** The body of an answer as its reader sees it. */
class Body implements AsyncIterable<Buffer> {
  onDestroyed: (reason: Error) => void = () => undefined;
  readonly #chunks: Buffer[] = [];
  #over: { readonly error?: unknown } | undefined;
  #wake: (() => void) | undefined;

  push(chunk: Buffer): void {
    this.#chunks.push(chunk);
    this.#wake?.();
  }

  finish(): void {
    this.#over ??= {};
    this.#wake?.();
  }

  fail(error: unknown): void {
    this.#over ??= { error };
    this.#wake?.();
  }

  destroy(reason: Error): void {
    this.fail(reason);
    this.onDestroyed(reason);
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Buffer> {
    for (;;) {
      const chunk = this.#chunks.shift();
      if (chunk) yield chunk;
      else if (this.#over) {
        if ('error' in this.#over) throw this.#over.error;
        return;
      } else
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
    }
  }
}
