/**
 * Live migration of imitated machines. What a guest is travels in the texts of the steps: no socket is used, and how long sending takes is by the clock.
 * A machine that is received ends with the process that receives it, as libvirt's do with their connection; one that was sent stays sent.
 */
import { readFile } from 'node:fs/promises';
import type { Clock } from '#lib/std/clock.ts';
import { writeFileAtomic } from '#lib/std/files.ts';
import type { Random } from '#lib/std/random.ts';
import { type DomainSpec, MachineError, type MoveSockets, type Moves, type SendOptions } from '../hypervisor.ts';
import { type MoveShape, MoveText, requireSameShape, unmovable, writeMoveText } from '../move-text.ts';
import type { SimDisk } from './copies.ts';
import { goesOn, type SimDomain, sentAway } from './domain.ts';

/** In which a guest is sent: a fault may come between any two. */
const parts = 8;

/** The domains of the imitated host. */
export interface SimDomains {
  at(uid: string): SimDomain | undefined;
  put(domain: SimDomain): void;
  /** Off, and forgotten. */
  remove(uid: string): void;
}

export interface SimMovesOptions {
  /** How long it takes to send a guest. */
  readonly moveMs: number;
  readonly clock: Clock;
  readonly random: Random;
  /** Aborts when the process ends: nothing is sent any more. */
  readonly closed: AbortSignal;
}

export class SimMoves implements Moves {
  readonly #domains: SimDomains;
  readonly #options: SimMovesOptions;

  constructor(domains: SimDomains, options: SimMovesOptions) {
    this.#domains = domains;
    this.#options = options;
  }

  async describe(spec: DomainSpec): Promise<string> {
    return writeMoveText({ step: 'describe', uid: spec.uid, ...shapeOf(spec) });
  }

  async begin(uid: string, described: string): Promise<string> {
    const there = new MoveText(described, 'describe');
    const { spec } = this.#leaving(uid);
    if (there.string('uid') !== uid) throw new Error(`The other host describes the machine ${there.string('uid')}`);
    requireSameShape(shapeOf(spec), there.shape());
    if ((spec.volumes ?? []).length > 0) throw new MachineError(unmovable.volumes);
    const disks = await Promise.all(pathsOf(spec).map(readDisk));
    if (!disks[0]!.backing) throw new MachineError(unmovable.restored);
    return writeMoveText({ step: 'begin', uid, sizes: disks.map(({ virtualSize }) => virtualSize), ...shapeOf(spec) });
  }

  async receive(spec: DomainSpec, begun: string, _sockets: MoveSockets): Promise<string> {
    const { uid } = spec;
    const there = new MoveText(begun, 'begin');
    if (this.#domains.at(uid)?.receiving) this.#domains.remove(uid);
    if (this.#domains.at(uid)) throw new Error(`Cannot receive the machine ${uid}: there is a domain of it here`);
    requireSameShape(there.shape(), shapeOf(spec));
    const sizes = there.counts('sizes');
    for (const [index, path] of pathsOf(spec).entries()) await resizeDisk(path, sizes[index] ?? 0);
    const receiving = this.#options.random.uuid();
    this.#domains.put({ spec, power: 'Paused', pausedReason: 'Other', receiving });
    return writeMoveText({ step: 'receive', uid, receiving });
  }

  async send(uid: string, received: string, _sockets: MoveSockets, options: SendOptions): Promise<string> {
    const { clock, moveMs, closed } = this.#options;
    const there = new MoveText(received, 'receive');
    const receiving = there.string('receiving');
    if (there.string('uid') !== uid) throw new Error(`The other host receives the machine ${there.string('uid')}`);
    const signal = AbortSignal.any([options.signal, closed]);
    const total = this.#leaving(uid).spec.memoryMiB * 2 ** 20;
    for (let part = 1; part <= parts; part += 1) {
      await clock.sleep(moveMs / parts, signal);
      this.#leaving(uid);
      options.progress(Math.round((total * part) / parts), total);
    }
    signal.throwIfAborted();
    const domain = this.#leaving(uid);
    this.#domains.put(sentAway(domain));
    return writeMoveText({ step: 'send', uid, receiving, ...guestOf(domain, clock.now()) });
  }

  async take(uid: string, sent: string): Promise<void> {
    const domain = this.#domains.at(uid);
    if (domain && !domain.receiving) return;
    if (!domain) throw new Error(`Cannot take the machine ${uid} over: nothing of it is received here`);
    try {
      const there = new MoveText(sent, 'send');
      if (there.string('uid') !== uid || there.string('receiving') !== domain.receiving)
        throw new Error(`Cannot take the machine ${uid} over: what was sent was not for what is received here`);
      this.#domains.put({ spec: domain.spec, ...readGuest(there, this.#options.clock.now()) });
    } catch (error) {
      this.#domains.remove(uid);
      throw error;
    }
  }

  async refuse(uid: string): Promise<void> {
    if (this.#domains.at(uid)?.receiving) this.#domains.remove(uid);
  }

  async end(uid: string, taken: boolean): Promise<void> {
    const domain = this.#domains.at(uid);
    if (!domain) return;
    if (domain.receiving) throw new Error(`Cannot end sending the machine ${uid}: it is received here`);
    if (taken) this.#domains.remove(uid);
    else if (domain.sent) this.#domains.put(goesOn(domain));
  }

  /** Throws MachineError if it is not there to be sent. */
  #leaving(uid: string): SimDomain {
    const domain = this.#domains.at(uid);
    if (!domain || domain.power === 'Off') throw new MachineError(unmovable.off);
    if (domain.receiving || domain.sent) throw new MachineError(unmovable.leaving);
    if (domain.pausedReason === 'IOError') throw new MachineError(unmovable.broken);
    return domain;
  }
}

type SimGuest = Omit<SimDomain, 'spec'>;

/** Times as spans: the clocks of two hosts differ. */
function guestOf({ power, bootedAt, offAt, unplugged, hung, frozen, boots }: SimDomain, now: number) {
  return {
    paused: power === 'Paused',
    boots: boots ?? 0,
    upMs: Math.max(0, now - (bootedAt ?? now)),
    ...(offAt === undefined ? {} : { offInMs: Math.max(0, offAt - now) }),
    ...{ unplugged: unplugged ?? false, hung: hung ?? false, frozen: frozen ?? false },
  };
}

function readGuest(text: MoveText, now: number): SimGuest {
  const offInMs = text.optionalCount('offInMs');
  return {
    ...(text.flag('paused') ? { power: 'Paused', pausedReason: 'User' } : { power: 'On' }),
    boots: text.count('boots'),
    bootedAt: now - text.count('upMs'),
    ...(offInMs === undefined ? {} : { offAt: now + offInMs }),
    ...(text.flag('unplugged') ? { unplugged: true } : {}),
    ...(text.flag('hung') ? { hung: true } : {}),
    ...(text.flag('frozen') ? { frozen: true } : {}),
  };
}

function shapeOf({ cores, memoryMiB, nics, dataDisks = [] }: DomainSpec): MoveShape {
  return {
    cores,
    memoryMiB,
    macs: nics.map(({ mac }) => mac),
    dataDisks: dataDisks.map(({ name }) => name),
    devices: [],
  };
}

function pathsOf({ rootDisk, dataDisks = [] }: DomainSpec): readonly string[] {
  return [rootDisk, ...dataDisks.map(({ path }) => path)];
}

async function readDisk(path: string): Promise<SimDisk> {
  return JSON.parse(await readFile(path, 'utf8')) as SimDisk;
}

/** As large as the guest knows it. */
async function resizeDisk(path: string, bytes: number): Promise<void> {
  writeFileAtomic(path, JSON.stringify({ ...(await readDisk(path)), virtualSize: bytes }));
}
