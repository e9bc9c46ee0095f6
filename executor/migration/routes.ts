/** What a host's endpoint serves to the sources of live migrations: see MigrationPeer. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import { migrationPath, migrationToken } from '#lib/api/host-endpoint.ts';
import type { Clock } from '#lib/std/clock.ts';
import { deadline } from '#lib/std/deadline.ts';
import { messageOf } from '#lib/std/errors.ts';
import type { Log } from '#lib/std/log.ts';
import { isOpenedBy } from '../console/opened-by.ts';
import { MachineError } from '../hypervisor.ts';
import { type Arrivals, UnknownMigrationError } from './arrivals.ts';
import { type MigrationPeer, tunnels, upgradeName } from './peers.ts';
import { joinStreams } from './sockets.ts';
import { readWords } from './words.ts';

/** A source sends all it has to say at once. */
const bodyMs = 60_000;
/** Migrations of a host are few. */
const requestsMax = 256;

export interface MigrationRoutesOptions {
  readonly arrivals: Pick<Arrivals, 'at'>;
  /** Of the endpoint. */
  readonly secret: string;
  readonly clock: Clock;
  readonly log: Log;
  /** Aborts when the endpoint is closed. */
  readonly over: AbortSignal;
}

interface Asked {
  readonly uid: string;
  readonly id: string;
  /** After the path of the migration. */
  readonly rest: string;
}

type Answer = (peer: MigrationPeer, words: () => Promise<string>, signal: AbortSignal) => Promise<string>;

const answers: Readonly<Record<string, Answer>> = {
  'GET ': async (peer, _, signal) => await peer.describe(signal),
  'POST /prepare': async (peer, words, signal) => await peer.prepare(await words(), signal),
  'POST /finish': async (peer, words, signal) => await peer.finish(await words(), signal),
  'GET /outcome': async (peer, _, signal) => await peer.outcome(signal),
  'DELETE ': async (peer, words, signal) => {
    await peer.refuse((await words()).slice(0, 1000), signal);
    return '';
  },
};

/** Each gives false, and does nothing, if the request is for something else. */
export class MigrationRoutes {
  readonly #options: MigrationRoutesOptions;
  #underWay = 0;

  constructor(options: MigrationRoutesOptions) {
    this.#options = options;
  }

  answers(request: IncomingMessage, response: ServerResponse): boolean {
    const asked = readAsked(request);
    if (!asked) return false;
    void this.#answer(asked, request, response);
    return true;
  }

  upgrades(request: IncomingMessage, socket: Duplex, head: Buffer): boolean {
    const asked = readAsked(request);
    if (!asked) return false;
    void this.#tunnel(asked, { request, socket, head });
    return true;
  }

  async #answer(asked: Asked, request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { arrivals, clock, over } = this.#options;
    const { uid, id, rest } = asked;
    if (!this.#isOpened(asked, request)) return void response.writeHead(401).end();
    const answer = answers[`${request.method} ${rest}`];
    if (!answer) return void response.writeHead(404).end();
    if (this.#underWay >= requestsMax) return void response.writeHead(503).end();
    const gone = new AbortController();
    response.once('close', () => gone.abort());
    const words = async (): Promise<string> => {
      using limit = deadline(clock, bodyMs, 'What the other host has to say');
      const end = () => request.destroy();
      limit.signal.addEventListener('abort', end, { once: true });
      return await readWords(request);
    };
    this.#underWay += 1;
    try {
      const said = await answer(arrivals.at(uid, id), words, AbortSignal.any([gone.signal, over]));
      response.writeHead(200, plainText).end(said);
    } catch (error) {
      this.#refuse(asked, response, error);
    } finally {
      this.#underWay -= 1;
    }
  }

  #refuse({ uid, id }: Asked, response: ServerResponse, error: unknown): void {
    this.#options.log.info('A source was not answered as it asked', { uid, id, reason: messageOf(error) });
    if (response.headersSent || response.destroyed) return void response.destroy();
    if (error instanceof MachineError) response.writeHead(409, plainText).end(error.message);
    else if (error instanceof UnknownMigrationError) response.writeHead(404, plainText).end(error.message);
    else response.writeHead(503, { ...plainText, connection: 'close' }).end('The host cannot answer now');
  }

  async #tunnel(asked: Asked, { request, socket, head }: Upgrade): Promise<void> {
    const { arrivals, log, over } = this.#options;
    const { uid, id, rest } = asked;
    const close = () => socket.destroy();
    socket.on('error', close);
    over.addEventListener('abort', close, { once: true });
    socket.once('close', () => over.removeEventListener('abort', close));
    const to = tunnels.find((each) => rest === `/${each}`);
    if (!to || request.headers.upgrade !== upgradeName) return refuse(socket, '404 Not Found');
    if (!this.#isOpened(asked, request)) return refuse(socket, '401 Unauthorized');
    try {
      const end = await arrivals.at(uid, id).tunnel(to, over);
      if (socket.destroyed) return void end.destroy();
      socket.allowHalfOpen = true;
      if (head.length > 0) socket.unshift(head);
      socket.write(`HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: ${upgradeName}\r\n\r\n`);
      joinStreams(socket, end);
    } catch (error) {
      log.info('A tunnel was not opened', { uid, id, to, reason: messageOf(error) });
      refuse(socket, '503 Service Unavailable');
    }
  }

  #isOpened({ uid, id }: Asked, request: IncomingMessage): boolean {
    return isOpenedBy(request, migrationToken(this.#options.secret, uid, id));
  }
}

interface Upgrade {
  readonly request: IncomingMessage;
  readonly socket: Duplex;
  readonly head: Buffer;
}

const plainText = { 'content-type': 'text/plain; charset=utf-8' } as const;

function readAsked({ url = '' }: IncomingMessage): Asked | undefined {
  const [, uid, id] = /^\/migrations\/([0-9a-f-]{36})\/([0-9a-f-]{36})(?:\/|$)/.exec(url) ?? [];
  if (uid === undefined || id === undefined) return undefined;
  return { uid, id, rest: url.slice(migrationPath(uid, id).length) };
}

function refuse(socket: Duplex, status: string): void {
  socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
}
