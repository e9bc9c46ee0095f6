/**
 * The way of a live migration over the network: HTTPS to the destination's endpoint, which is known by the fingerprint of its certificate. What
 * QEMU says to QEMU goes through connections that were upgraded there, so no host opens a port for it, and nobody can read it.
 */
import { once } from 'node:events';
import type { ClientRequest, IncomingMessage } from 'node:http';
import { request } from 'node:https';
import type { Duplex } from 'node:stream';
import { migrationPath } from '#lib/api/host-endpoint.ts';
import type { Clock } from '#lib/std/clock.ts';
import { deadline } from '#lib/std/deadline.ts';
import type { Log } from '#lib/std/log.ts';
import { connectPinned } from '#lib/tls/pinned.ts';
import { MachineError } from '../hypervisor.ts';
import {
  type MigrationOutcome,
  type MigrationPeer,
  type MigrationPeers,
  type MigrationTarget,
  upgradeName,
} from './peers.ts';
import { socketPlace } from './sockets.ts';
import { readWords } from './words.ts';

/** Disks are made before a destination says how the machine is to be there, and QEMU is begun before it has prepared. */
const answerMs = 300_000;
const askMs = 90_000;
const tunnelMs = 30_000;

export function httpsPeers({
  root,
  clock,
  log,
}: {
  readonly root: string;
  readonly clock: Clock;
  readonly log: Log;
}): MigrationPeers {
  return {
    open: (target) => new HttpsPeer(target, clock),
    place: async () => await socketPlace(root, log),
  };
}

interface Asked {
  readonly method: 'GET' | 'POST' | 'DELETE';
  readonly path?: string;
  readonly body?: string;
  readonly ms: number;
  readonly signal: AbortSignal;
}

class HttpsPeer implements MigrationPeer {
  readonly #target: MigrationTarget;
  readonly #clock: Clock;

  constructor(target: MigrationTarget, clock: Clock) {
    this.#target = target;
    this.#clock = clock;
  }

  async describe(signal: AbortSignal): Promise<string> {
    return await this.#ask({ method: 'GET', ms: answerMs, signal });
  }

  async prepare(begun: string, signal: AbortSignal): Promise<string> {
    return await this.#ask({ method: 'POST', path: '/prepare', body: begun, ms: answerMs, signal });
  }

  async finish(sent: string, signal: AbortSignal): Promise<MigrationOutcome> {
    return outcomeIn(await this.#ask({ method: 'POST', path: '/finish', body: sent, ms: askMs, signal }));
  }

  async outcome(signal: AbortSignal): Promise<MigrationOutcome> {
    return outcomeIn(await this.#ask({ method: 'GET', path: '/outcome', ms: askMs, signal }));
  }

  async refuse(message: string, signal: AbortSignal): Promise<void> {
    await this.#ask({ method: 'DELETE', body: message, ms: askMs, signal });
  }

  async tunnel(to: 'memory' | 'disks', signal: AbortSignal): Promise<Duplex> {
    using limit = deadline(this.#clock, tunnelMs, 'Opening a tunnel to the destination', signal);
    const sent = await this.#request('GET', `/${to}`, limit.signal, { connection: 'Upgrade', upgrade: upgradeName });
    try {
      const upgraded = once(sent, 'upgrade', { signal: limit.signal });
      const refused = once(sent, 'response', { signal: limit.signal });
      for (const each of [upgraded, refused]) each.catch(() => undefined);
      sent.end();
      const [answer, socket, head] = (await Promise.race([upgraded, refused])) as [IncomingMessage, Duplex?, Buffer?];
      if (!socket) throw await refusalOf(answer);
      // One end of it may be done before the other.
      socket.allowHalfOpen = true;
      if (head?.length) socket.unshift(head);
      return socket;
    } catch (error) {
      sent.destroy();
      throw error;
    }
  }

  async #ask({ method, path = '', body, ms, signal }: Asked): Promise<string> {
    using limit = deadline(this.#clock, ms, 'The answer of the destination', signal);
    const sent = await this.#request(method, path, limit.signal, {
      'content-type': 'text/plain; charset=utf-8',
      ...(body !== undefined && { 'content-length': String(Buffer.byteLength(body)) }),
    });
    try {
      const answered = once(sent, 'response', { signal: limit.signal });
      sent.end(body);
      const [response] = (await answered) as [IncomingMessage];
      if (response.statusCode !== 200) throw await refusalOf(response);
      return await readWords(response);
    } finally {
      sent.destroy();
    }
  }

  async #request(
    method: string,
    path: string,
    signal: AbortSignal,
    headers: Readonly<Record<string, string>>,
  ): Promise<ClientRequest> {
    const { url, token, uid, id } = this.#target;
    const socket = await connectPinned(this.#target);
    const sent = request(`${url}${migrationPath(uid, id)}${path}`, {
      ...{ method, signal, createConnection: () => socket },
      headers: { ...headers, authorization: `Bearer ${token}` },
    });
    // Whoever waits for it hears of it; nobody else needs to.
    sent.on('error', () => undefined);
    return sent;
  }
}

function outcomeIn(text: string): MigrationOutcome {
  if (text === 'Receiving' || text === 'Taken' || text === 'Refused') return text;
  throw new Error(`The destination answers with "${text.slice(0, 100)}", which is no outcome`);
}

/** What it says for people is told; anything else says nothing of what it has done. */
async function refusalOf(response: IncomingMessage): Promise<Error> {
  const why = (await readWords(response)).slice(0, 1000);
  if (response.statusCode === 409) return new MachineError(why);
  return new Error(`The destination answers with status ${response.statusCode}: ${why}`);
}
