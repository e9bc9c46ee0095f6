/** Executors of one process that reach each other without a network: tests and simulations of many hosts under a clock of their own. */
import { migrationToken } from '#lib/api/host-endpoint.ts';
import type { Random } from '#lib/std/random.ts';
import type { ConsoleEndpoint } from '../console/server.ts';
import type { Arrivals } from './arrivals.ts';
import type { MigrationPeer, MigrationPeers, MigrationTarget, SocketPlace } from './peers.ts';

/** What is done before a request arrives, and before its answer does: to lose it, or to let time pass. */
export interface MemoryFaults {
  request?(what: keyof MigrationPeer, target: MigrationTarget): Promise<void>;
  answer?(what: keyof MigrationPeer, target: MigrationTarget): Promise<void>;
}

export interface MemoryEndpoint extends Disposable {
  readonly endpoint: ConsoleEndpoint;
}

export class MemoryNetwork {
  readonly #random: Random;
  /** By URL, with the secret of each. */
  readonly #hosts = new Map<string, { readonly arrivals: Pick<Arrivals, 'at'>; readonly secret: string }>();

  constructor(random: Random) {
    this.#random = random;
  }

  /** Another endpoint for every worker, as it is over the network. */
  join(arrivals: Pick<Arrivals, 'at'>): MemoryEndpoint {
    const [name, secret] = [this.#random.uuid(), this.#random.uuid()];
    const url = `https://${name}`;
    this.#hosts.set(url, { arrivals, secret });
    return {
      endpoint: { url, token: secret, certificateSha256: '0'.repeat(64) },
      [Symbol.dispose]: () => void this.#hosts.delete(url),
    };
  }

  /** Of one host. Its hypervisor uses no sockets unless `place` makes them. */
  peers(faults: MemoryFaults = {}, place: () => Promise<SocketPlace> = async () => nowhere): MigrationPeers {
    return { place, open: (target) => this.#open(target, faults) };
  }

  #open(target: MigrationTarget, { request, answer }: MemoryFaults): MigrationPeer {
    const call = async <T>(what: keyof MigrationPeer, work: (peer: MigrationPeer) => Promise<T>): Promise<T> => {
      await request?.(what, target);
      const given = await work(this.#find(target));
      await answer?.(what, target);
      return given;
    };
    return {
      describe: (signal) => call('describe', (peer) => peer.describe(signal)),
      prepare: (begun, signal) => call('prepare', (peer) => peer.prepare(begun, signal)),
      tunnel: (to, signal) => call('tunnel', (peer) => peer.tunnel(to, signal)),
      finish: (sent, signal) => call('finish', (peer) => peer.finish(sent, signal)),
      outcome: (signal) => call('outcome', (peer) => peer.outcome(signal)),
      refuse: (message, signal) => call('refuse', (peer) => peer.refuse(message, signal)),
    };
  }

  #find({ url, token, uid, id }: MigrationTarget): MigrationPeer {
    const host = this.#hosts.get(url);
    if (!host) throw new Error(`Nobody answers at ${url}`);
    if (token !== migrationToken(host.secret, uid, id)) throw new Error(`${url} answers with status 401`);
    return host.arrivals.at(uid, id);
  }
}

const nowhere: SocketPlace = {
  ...{ memory: '/nowhere/memory', disks: '/nowhere/disks' },
  leadTo: async () => undefined,
  [Symbol.asyncDispose]: async () => undefined,
};
