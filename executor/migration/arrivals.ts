/**
 * The destination's side of live migrations: does for the source of each what it asks, one after the other through the machine's driver, which
 * decides. What the hypervisor waits for the guest at is reached through here alone.
 */
import { once } from 'node:events';
import type { Duplex } from 'node:stream';
import type { Clock } from '#lib/std/clock.ts';
import { deadline } from '#lib/std/deadline.ts';
import { messageOf } from '#lib/std/errors.ts';
import type { Log } from '#lib/std/log.ts';
import { connectToOwn } from '../console/own-socket.ts';
import { MachineError } from '../hypervisor.ts';
import type { Machines } from '../machines.ts';
import type { MigrationOutcome, MigrationPeer, MigrationPeers, SocketPlace, Tunnel } from './peers.ts';

/** A disk is sent over one connection, or a few. */
const tunnelsMax = 64;
/** Whoever asks whether it was taken asks again. */
const decideMs = 60_000;

export interface ArrivalsDeps {
  machines(): Pick<Machines, 'ask' | 'tell' | 'outcomeOf' | 'decided'>;
  readonly peers: Pick<MigrationPeers, 'place'>;
  readonly clock: Clock;
  readonly log: Log;
}

/** Nothing is known here of such a migration: that says nothing of what has become of it. */
export class UnknownMigrationError extends Error {}

interface Arrival {
  readonly place: SocketPlace;
  readonly open: Set<Duplex>;
  /** The hypervisor waits for the guest. */
  ready: boolean;
}

export class Arrivals implements AsyncDisposable {
  readonly #deps: ArrivalsDeps;
  /** By id of the migration. */
  readonly #arrivals = new Map<string, Arrival>();
  readonly #over = new AbortController();
  readonly #closing = new Set<Promise<void>>();

  constructor(deps: ArrivalsDeps) {
    this.#deps = deps;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#over.abort(new Error('The executor of the host ends'));
    for (const id of [...this.#arrivals.keys()]) await this.#close(id);
    await Promise.all(this.#closing);
  }

  /** As its source sees it. */
  at(uid: string, id: string): MigrationPeer {
    return {
      describe: async () => await this.#machines(uid, id).ask(uid, { type: 'describe', id }),
      prepare: async (begun) => await this.#prepare(uid, id, begun),
      tunnel: async (to, signal) => await this.#connect(id, to, signal),
      finish: async (sent, signal) => await this.#finish(uid, id, sent, signal),
      outcome: async () => this.#outcome(uid, id),
      refuse: async (message) => this.#machines(uid, id).tell(uid, { type: 'refuse', id, message }),
    };
  }

  #machines(uid: string, id: string): ReturnType<ArrivalsDeps['machines']> {
    this.#outcome(uid, id);
    return this.#deps.machines();
  }

  #outcome(uid: string, id: string): MigrationOutcome {
    const outcome = this.#deps.machines().outcomeOf(uid, id);
    if (outcome === undefined)
      throw new UnknownMigrationError(`No machine ${uid} comes to this host by migration ${id}`);
    return outcome;
  }

  async #prepare(uid: string, id: string, begun: string): Promise<string> {
    const machines = this.#machines(uid, id);
    if (this.#arrivals.has(id)) throw new MachineError('It was begun already, and cannot be begun again');
    this.#over.signal.throwIfAborted();
    const place = await this.#deps.peers.place();
    const arrival: Arrival = { place, open: new Set(), ready: false };
    if (this.#arrivals.has(id)) {
      await place[Symbol.asyncDispose]();
      throw new MachineError('It was begun already, and cannot be begun again');
    }
    this.#arrivals.set(id, arrival);
    const { memory, disks } = place;
    try {
      const received = await machines.ask(uid, { type: 'receive', id, begun, sockets: { memory, disks } });
      arrival.ready = true;
      this.#closeOnceDecided(uid, id);
      return received;
    } catch (error) {
      await this.#close(id);
      throw error;
    }
  }

  #closeOnceDecided(uid: string, id: string): void {
    const closing = this.#deps
      .machines()
      .decided(uid, this.#over.signal)
      .catch(() => undefined) // disposed: all is closed there
      .then(async () => await this.#close(id))
      .finally(() => this.#closing.delete(closing));
    this.#closing.add(closing);
  }

  async #close(id: string): Promise<void> {
    const arrival = this.#arrivals.get(id);
    if (!arrival) return;
    this.#arrivals.delete(id);
    for (const tunnel of arrival.open) tunnel.destroy();
    await arrival.place[Symbol.asyncDispose]();
  }

  async #connect(id: string, to: Tunnel, signal: AbortSignal): Promise<Duplex> {
    const arrival = this.#arrivals.get(id);
    if (!arrival?.ready) throw new MachineError('Nothing waits for the guest here');
    if (arrival.open.size >= tunnelsMax) throw new MachineError(`It has ${tunnelsMax} connections already`);
    const socket = connectToOwn(arrival.place[to]);
    arrival.open.add(socket);
    socket.once('close', () => arrival.open.delete(socket));
    try {
      await once(socket, 'connect', { signal });
    } catch (error) {
      socket.destroy();
      throw error;
    }
    return socket;
  }

  async #finish(uid: string, id: string, sent: string, signal: AbortSignal): Promise<MigrationOutcome> {
    const { clock, log } = this.#deps;
    const known = this.#outcome(uid, id);
    if (known !== 'Receiving') return known;
    const machines = this.#deps.machines();
    using limit = deadline(clock, decideMs, 'Taking the machine over', AbortSignal.any([signal, this.#over.signal]));
    // What it brings or fails with shows in what is decided then, which alone counts.
    const asked = machines.ask(uid, { type: 'finish', id, sent });
    asked.catch((error: unknown) => log.warn('Taking a machine over failed', { uid, id, reason: messageOf(error) }));
    await machines.decided(uid, limit.signal).catch((error: unknown) => {
      log.warn('It is not decided yet whether a machine was taken over', { uid, id, reason: messageOf(error) });
    });
    return this.#outcome(uid, id);
  }
}
