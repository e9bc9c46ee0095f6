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
import type { Life } from './life.ts';

type Request = Parameters<Connection['request']>[0];
type Response = Awaited<ReturnType<Connection['request']>>;

interface Server {
  readonly life: Life;
  readonly handler: Handler;
}

/** What chance does to one thing that is sent. */
export interface Tampering {
  /** A request on its way to a server: another text, an answer in the server's stead, or `lost`: no answer ever. */
  request(
    from: string,
    to: string,
    path: string,
    body: string,
  ): { body: string; status?: number; loseAnswer?: boolean };
  /** A piece of a stream: the pieces that arrive. */
  chunk(from: string, to: string, chunk: Buffer): readonly Buffer[];
}

export class Network {
  readonly #servers = new Map<string, Server>();
  readonly #exchanges = new Set<Exchange>();
  readonly #cuts = new Set<string>();
  readonly clock: Clock;
  readonly random: Random;
  readonly tampering: Tampering;

  constructor(clock: Clock, random: Random, tampering: Tampering) {
    this.clock = clock;
    this.random = random;
    this.tampering = tampering;
  }

  /** For startMaster and startAgent. */
  serveIn(life: Life): typeof serve {
    return async ({ host, port }, handler) => {
      const origin = `http://${host}:${port}`;
      const server: Server = { life, handler };
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
      const end = () => {
        for (const exchange of [...open]) exchange.abandon(new Error('The connection was closed'));
      };
      life.onEnd(end);
      return {
        request: async (request) => {
          const turn = last;
          const sent = life.call(async () => {
            await turn;
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

  /** Cuts two machines off from each other. A machine is what comes before the slash in a life's name. */
  cut(a: string, b: string): void {
    this.#cuts.add(pair(a, b));
  }

  heal(): void {
    this.#cuts.clear();
    for (const exchange of [...this.#exchanges]) {
      if (exchange.isHeld && this.random.next() < 0.5) exchange.breakOff('connection reset');
      else exchange.release();
    }
  }

  /** Breaks every connection between two machines, as a firewall that forgets. */
  reset(a: string, b: string): void {
    const both = pair(a, b);
    for (const exchange of [...this.#exchanges])
      if (pair(machineOf(exchange.client), machineOf(exchange.server)) === both) exchange.breakOff('connection reset');
  }

  isCut(a: Life, b: Life | undefined): boolean {
    return b !== undefined && this.#cuts.size > 0 && this.#cuts.has(pair(machineOf(a), machineOf(b)));
  }

  #send(life: Life, origin: string, request: Request, open: Set<Exchange>): Promise<Response> {
    const server = this.#servers.get(origin);
    const exchange = new Exchange(this, life, server, request, (ended) => {
      open.delete(ended);
      this.#exchanges.delete(ended);
    });
    open.add(exchange);
    this.#exchanges.add(exchange);
    return exchange.response;
  }
}

function machineOf(life: Life | undefined): string {
  return life?.name.split('/', 1)[0] ?? '';
}

function pair(a: string, b: string): string {
  return a < b ? `${a} ${b}` : `${b} ${a}`;
}

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
  #lastMs = 0;
  #over = false;
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
    this.client = client;
    this.server = server?.life;
    this.#ended = ended;
    this.#answer.promise.catch(() => undefined);
    this.#body.onDestroyed = (reason) => this.abandon(reason);
    const late = () => this.abandon(new Error('Headers Timeout Error'));
    this.#timer = client.clock.timeout(late, request.headersTimeout);
    request.signal?.addEventListener('abort', () => this.abandon(request.signal!.reason), { once: true });
    if (request.signal?.aborted) this.abandon(request.signal.reason);
    this.#later(() => this.#arrive(server, request));
  }

  get response(): Promise<Response> {
    return this.#answer.promise;
  }

  get isHeld(): boolean {
    return this.#held.length > 0;
  }

  release(): void {
    for (const deliver of this.#held.splice(0)) this.#later(deliver);
  }

  /** The client gives up: the server hears of it, unless they are cut off from each other. */
  abandon(reason: unknown): void {
    if (this.#over) return;
    this.#answer.reject(reason);
    this.#body.fail(reason);
    // What could not be delivered so far is not sent again for a connection that is closed.
    this.#held = [];
    this.#later(() => this.#end());
  }

  /** Both sides lose the connection. */
  breakOff(reason: string): void {
    if (this.#over) return;
    this.client.enter(() => {
      this.#answer.reject(new Error(reason));
      this.#body.fail(new Error(reason));
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

  /** After the way through the network, in order. */
  #later(deliver: () => void): void {
    const { clock, random } = this.#network;
    const now = clock.monotonic();
    this.#lastMs = Math.max(this.#lastMs, now + 1 + Math.floor(random.next() * 4));
    clock.timeout(() => {
      if (this.#over) return;
      if (this.#network.isCut(this.client, this.server)) this.#held.push(deliver);
      else deliver();
    }, this.#lastMs - now);
  }

  #arrive(server: Server | undefined, { path, headers, body }: Request): void {
    if (!server || server.life.dead) {
      this.breakOff('connect ECONNREFUSED');
      return;
    }
    const tampered = this.#network.tampering.request(this.client.name, server.life.name, path, body);
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
          if (status === undefined) throw error;
          response.writeHead(status).end(message);
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
      if (!sent) this.#later(head);
      sent = true;
    };
    const write = (chunk: Buffer | string) => {
      sendHead();
      for (const piece of this.#tampered(Buffer.from(chunk as string)))
        this.#later(() => this.client.enter(() => this.#body.push(piece)));
    };
    const response = {
      headersSent: false,
      writableLength: 0,
      setHeader: () => undefined,
      writeHead: (status: number, headers: Record<string, string | number> = {}) => {
        this.#status = status;
        for (const [name, value] of Object.entries(headers)) this.#headers[name.toLowerCase()] = String(value);
        response.headersSent = true;
        return response;
      },
      flushHeaders: sendHead,
      write,
      end: (text?: Buffer | string) => {
        if (text === undefined || text.length === 0) sendHead();
        else write(text);
        this.#later(() => {
          this.client.enter(() => this.#body.finish());
          this.#end();
        });
      },
      destroy: () => this.breakOff('destroyed by the server'),
      on: (event: string, callback: () => void) => {
        if (event === 'close') this.#closed.push(callback);
      },
    };
    return response;
  }

  #tampered(chunk: Buffer): readonly Buffer[] {
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
