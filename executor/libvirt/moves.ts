/**
 * Live migration by libvirt's own protocol (version 3, with parameters), which is made for a client that speaks to both daemons. Here each host's executor
 * speaks to its own alone, and what one step gives the next one is carried by whoever calls. Nothing that comes from the other host becomes part of a
 * domain here but the machine type: the destination runs and stores XML of its own.
 *
 * What libvirt does by itself: what is received has no stored definition, and ends with the connection that began it (autodestroy). Sending is done by a
 * connection of its own, which is closed when all was sent: libvirt then forgets the job and leaves the guest standing, whether we closed the connection
 * or our process was killed, so that there is one state to go on from and no cookie to remember.
 */
import { lchown, open, rename, rm, writeFile } from 'node:fs/promises';
import { backoffMs } from '#lib/std/backoff.ts';
import type { Clock } from '#lib/std/clock.ts';
import type { Random } from '#lib/std/random.ts';
import {
  type Domain,
  type DomainSpec,
  MachineError,
  type MoveSockets,
  type Moves,
  type SendOptions,
} from '../hypervisor.ts';
import { checkOverlay, checkQcow2, headAt } from '../images/qcow2-header.ts';
import { createDisk, createOverlay } from '../images/qemu-img.ts';
import { type MoveShape, MoveText, requireSameShape, unmovable, writeMoveText } from '../move-text.ts';
import { readBackingFile } from './backing-file.ts';
import {
  canonicalMachine,
  copiedDisks,
  domainName,
  type MovableXml,
  readMachineType,
  readMovableXml,
} from './domain-xml.ts';
import type { Libvirt, MigrateStep } from './libvirt.ts';
import {
  type DomainRef,
  errorCode,
  isLibvirtError,
  jobType,
  LibvirtError,
  migrateFlag,
  migrationOut,
  migrateParameter as named,
} from './protocol.ts';
import { makeScreenDirectory, type QemuUser } from './screen.ts';
import { takenCookie } from './take-cookie.ts';

const progressEveryMs = 250;
const jobOverLookMs = 20;
/** sun_path of Linux without its final zero. */
const socketPathBytesMax = 107;
/** How long a job whose connection is gone may take to end when it is told to. */
const endJobMs = 60_000;
/** One that was told to end and stands for so long has sent everything: libvirt waits for a word that nobody will say. */
const standsMs = 3_000;
const lookAgain = { firstMs: 200, maxMs: 5_000 };

const sendFlags = migrateFlag.live | migrateFlag.nonSharedIncrement;
const receiveFlags = sendFlags | migrateFlag.persistDestination;

/** The driver's side of it. */
export interface MovesHost {
  readonly libvirt: Libvirt;
  /** How often `libvirt` was connected anew: calls between which that is the same were answered by the same libvirtd. */
  connections(): number;
  /** Another connection to the same libvirtd. */
  connect(): Libvirt;
  get(uid: string): Promise<Domain | undefined>;
  destroy(uid: string): Promise<void>;
  undefine(uid: string): Promise<void>;
  /** The XML that the machine would have here; with the machine type of the one that comes, if it is known. */
  xmlOf(spec: DomainSpec, machine?: string): Promise<string>;
  qemuUser(): Promise<QemuUser>;
  readonly clock: Clock;
  readonly random: Random;
}

export class LibvirtMoves implements Moves, AsyncDisposable {
  readonly #host: MovesHost;
  readonly #sending = new Set<Libvirt>();
  readonly #closed = new AbortController();

  constructor(host: MovesHost) {
    this.#host = host;
  }

  /** What is being sent is left to libvirt, as if the process had been killed. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed.abort();
    for (const connection of this.#sending) await connection[Symbol.asyncDispose]();
  }

  async describe(spec: DomainSpec): Promise<string> {
    const xml = await this.#host.xmlOf(spec);
    return writeMoveText({ step: 'describe', uid: spec.uid, ...shapeOf(readMovableXml(xml)) });
  }

  async begin(uid: string, described: string): Promise<string> {
    const there = new MoveText(described, 'describe');
    if (there.string('uid') !== uid) throw new Error(`The other host describes the machine ${there.string('uid')}`);
    const { domain, paused } = await this.#leaving(uid);
    const running = await this.#host.libvirt.running(domain);
    const here = readMovableXml(running);
    requireMovable(here);
    requireSameShape(here, there.shape());
    const sizes = await Promise.all(here.disks.map(async ({ path }, index) => await sizeOf(path, index === 0)));
    const parameters = disksOf(here.disks.map(({ target }) => target));
    const { cookie } = await explained(
      this.#host.libvirt.migrateBegin(domain, { parameters, flags: receiveFlags | pausedFlag(paused) }),
    );
    return writeMoveText({
      ...{ step: 'begin', uid, sizes, cookie: cookie.toString('base64'), paused, ...shapeOf(here) },
      // QEMU of the destination may be another one, of which the short name would mean another machine.
      machine: canonicalMachine(await this.#host.libvirt.capabilities(), readMachineType(running)),
    });
  }

  async receive(spec: DomainSpec, begun: string, sockets: MoveSockets): Promise<string> {
    const { uid } = spec;
    const there = new MoveText(begun, 'begin');
    if (there.string('uid') !== uid) throw new Error(`The other host sends the machine ${there.string('uid')}`);
    await this.refuse(uid);
    if (await this.#host.get(uid)) throw new Error(`Cannot receive ${domainName(uid)}: there is a domain of it here`);
    const xml = await this.#host.xmlOf(spec, there.string('machine'));
    const own = readMovableXml(xml);
    requireSameShape(there.shape(), own);
    requireMovable(own);
    await emptyDisks(own, there.counts('sizes'), this.#host.random);
    const user = await this.#host.qemuUser();
    for (const socket of [sockets.memory, sockets.disks]) await makeScreenDirectory(socket, user);
    const parameters: MigrateStep['parameters'] = [
      [named.xml, xml],
      [named.name, domainName(uid)],
      ...wayOf(sockets),
      ...disksOf(copiedDisks(spec)),
    ];
    const flags = receiveFlags | pausedFlag(there.flag('paused'));
    try {
      const step = { parameters, cookie: there.bytes('cookie'), flags };
      const cookie = await explained(this.#host.libvirt.migratePrepare(step));
      return writeMoveText({ step: 'receive', uid, cookie: cookie.toString('base64') });
    } catch (error) {
      // Without an answer it may have begun. If libvirtd cannot be asked now, it ends with the connection.
      await this.refuse(uid).catch(() => undefined);
      throw error;
    }
  }

  async send(uid: string, received: string, sockets: MoveSockets, options: SendOptions): Promise<string> {
    const { signal } = options;
    const there = new MoveText(received, 'receive');
    if (there.string('uid') !== uid) throw new Error(`The other host receives the machine ${there.string('uid')}`);
    signal.throwIfAborted();
    const { domain, paused } = await this.#leaving(uid);
    const here = readMovableXml(await this.#host.libvirt.running(domain));
    requireMovable(here);
    await lendSockets(sockets, await this.#host.qemuUser());
    const parameters = [...wayOf(sockets), ...disksOf(here.disks.map(({ target }) => target))];
    const flags = receiveFlags | migrateFlag.abortOnError | migrateFlag.autoConverge | pausedFlag(paused);
    const before = this.#host.connections();
    const cookie = await this.#perform(domain, { parameters, cookie: there.bytes('cookie'), flags }, options);
    try {
      signal.throwIfAborted();
      await this.#requireStanding(domain, before);
    } catch (error) {
      await this.end(uid, false);
      throw error;
    }
    return writeMoveText({ step: 'send', uid, cookie: cookie.toString('base64'), paused });
  }

  async take(uid: string, sent: string): Promise<void> {
    const { libvirt } = this.#host;
    try {
      const found = await this.#host.get(uid);
      if (!found) throw new Error(`Cannot take ${domainName(uid)} over: nothing of it is received here`);
      if (!found.receiving) return;
      const domain = await this.#require(uid);
      const there = new MoveText(sent, 'send');
      if (there.string('uid') !== uid) throw new Error(`The other host has sent the machine ${there.string('uid')}`);
      const cookie = takenCookie(there.bytes('cookie'), domain, await libvirt.definition(domain));
      const flags = receiveFlags | pausedFlag(there.flag('paused'));
      await libvirt.migrateFinish({ parameters: [[named.name, domain.name]], cookie, flags });
    } catch (error) {
      if (await this.#took(uid)) return;
      throw error;
    }
  }

  async refuse(uid: string): Promise<void> {
    if ((await this.#host.get(uid))?.receiving) await this.#host.destroy(uid);
  }

  async end(uid: string, taken: boolean): Promise<void> {
    const found = await this.#host.get(uid);
    if (!found) return;
    if (found.receiving) throw new Error(`Cannot end sending ${domainName(uid)}: it is received here`);
    if (taken) {
      await this.#host.destroy(uid);
      await this.#host.undefine(uid);
    } else if (found.power !== 'Off') {
      await this.#goOn(await this.#require(uid));
    }
  }

  /** Sends with a connection of its own. What that was is over when this settles, but for the guest that stands if it resolves. */
  async #perform(domain: DomainRef, step: MigrateStep, { signal, progress }: SendOptions): Promise<Buffer> {
    const { libvirt, clock } = this.#host;
    await using own = this.#host.connect();
    this.#sending.add(own);
    const performing = own.migratePerform(domain, step);
    const settled = new AbortController();
    let most = 0;
    const tell = async () => {
      const { transferred, total } = await libvirt.job(domain).catch(() => ({ transferred: 0, total: 0 }));
      // libvirt counts anew when it goes over from disks to memory.
      most = Math.max(most, transferred);
      if (total > 0 && !signal.aborted) progress(most, Math.max(most, total));
    };
    const watching = (async () => {
      while (!settled.signal.aborted) {
        await clock.sleep(progressEveryMs, settled.signal).catch(() => undefined);
        if (settled.signal.aborted) return;
        // Again and again: the job may not have begun yet.
        if (signal.aborted) await libvirt.abortJob(domain).catch(() => undefined);
        await tell().catch(() => undefined);
      }
    })();
    try {
      const cookie = await performing;
      await tell();
      return cookie;
    } catch (error) {
      if (!(error instanceof LibvirtError)) await this.#host.libvirt.abortJob(domain).catch(() => undefined);
      if (signal.aborted) throw signal.reason;
      throw error;
    } finally {
      settled.abort();
      await watching;
      this.#sending.delete(own);
    }
  }

  /**
   * Until libvirt has written down that the job is over, a libvirtd that is killed would find one that is under way when it starts again, and let the
   * guest go on, which may run elsewhere by then. So that is waited for; and if libvirtd was started anew meanwhile, what it does now is not known.
   */
  async #requireStanding(domain: DomainRef, before: number): Promise<void> {
    const { libvirt, clock } = this.#host;
    const since = clock.monotonic();
    while ((await libvirt.job(domain)).type !== jobType.none) {
      if (clock.monotonic() - since > endJobMs) throw new Error(`libvirt does not end the migration of ${domain.name}`);
      await clock.sleep(jobOverLookMs);
    }
    const found = await this.#host.get(domain.uuid);
    if (!found?.sent || this.#host.connections() !== before)
      throw new Error(`libvirtd was started anew while ${domain.name} was sent: the guest goes on here`);
  }

  /** Throws MachineError if it is not there to be sent. */
  async #leaving(uid: string): Promise<{ readonly domain: DomainRef; readonly paused: boolean }> {
    const found = await this.#host.get(uid);
    if (!found || found.power === 'Off') throw new MachineError(unmovable.off);
    if (found.receiving || found.sent) throw new MachineError(unmovable.leaving);
    if (found.pausedReason === 'IOError') throw new MachineError(unmovable.broken);
    return { domain: await this.#require(uid), paused: found.power === 'Paused' };
  }

  /**
   * Whether the guest runs here, after `take` was refused or nobody answered. While libvirtd does not tell, nobody can know, and whoever believed that it
   * does not would let it run elsewhere: so this asks until it is told.
   */
  async #took(uid: string): Promise<boolean> {
    const { clock, random } = this.#host;
    for (let failures = 1; ; failures += 1) {
      try {
        const found = await this.#host.get(uid);
        if (!found) return false;
        if (!found.receiving && found.power !== 'Off') return true;
        await this.#host.destroy(uid);
        if (!(await this.#host.get(uid))) return false;
      } catch {
        // Asked again.
      }
      await clock.sleep(backoffMs(failures, lookAgain, random), this.#closed.signal).catch(() => undefined);
      // The process ends: the next one looks, and this one must not say what it does not know.
      if (this.#closed.signal.aborted) return await new Promise<never>(() => undefined);
    }
  }

  /** Nobody else has it. One that was paused by somebody stays so. */
  async #goOn(domain: DomainRef): Promise<void> {
    const { libvirt } = this.#host;
    await this.#endJob(domain);
    // First: when it is paused again some day, that is how the driver would know that it was sent.
    await libvirt.forgetLastJob(domain).catch(unlessInvalid);
    if ((await libvirt.power(domain)).migrating) await libvirt.resume(domain);
  }

  /** A job that goes on although the process that began it is gone. Nothing if there is none. */
  async #endJob(domain: DomainRef): Promise<void> {
    const { libvirt, clock } = this.#host;
    const since = clock.monotonic();
    let stoodSince: number | undefined;
    for (;;) {
      const { type, operation } = await libvirt.job(domain);
      if (type === jobType.none || operation !== migrationOut) return;
      await libvirt.abortJob(domain).catch(unlessInvalid);
      const { power } = await libvirt.power(domain);
      stoodSince = power === 'Paused' ? (stoodSince ?? clock.monotonic()) : undefined;
      if (stoodSince !== undefined && clock.monotonic() - stoodSince > standsMs)
        return await libvirt.migrateCancel(domain, receiveFlags).catch(unlessInvalid);
      if (clock.monotonic() - since > endJobMs) throw new Error(`libvirt does not end the migration of ${domain.name}`);
      await clock.sleep(progressEveryMs);
    }
  }

  async #require(uid: string): Promise<DomainRef> {
    const domain = await this.#host.libvirt.lookup(uid);
    if (!domain) throw new MachineError(unmovable.off);
    return domain;
  }
}

function shapeOf({ cores, memoryMiB, macs, dataDisks, devices }: MoveShape): MoveShape {
  return { cores, memoryMiB, macs, dataDisks, devices };
}

function pausedFlag(paused: boolean): number {
  return paused ? migrateFlag.paused : 0;
}

function disksOf(targets: readonly string[]): MigrateStep['parameters'] {
  return targets.map((target) => [named.disk, target] as const);
}

function wayOf({ memory, disks }: MoveSockets): MigrateStep['parameters'] {
  const uri = (path: string) => {
    if (Buffer.byteLength(path) > socketPathBytesMax) throw new Error(`The path of the socket ${path} is too long`);
    return `unix://${encodeURI(path)}`;
  };
  return [
    [named.memory, uri(memory)],
    [named.disks, uri(disks)],
  ];
}

function requireMovable({ volumes, disks }: MovableXml): void {
  if (volumes) throw new MachineError(unmovable.volumes);
  if (!disks[0]?.stands) throw new MachineError(unmovable.restored);
}

/** As the guest sees it. Of a disk that may be written to meanwhile, whose size nobody changes. */
async function sizeOf(path: string, stands: boolean): Promise<number> {
  const head = await headAt(path);
  return stands ? checkOverlay(head) : checkQcow2(head);
}

/**
 * Only what is in the source's disks is sent, and only what is sent is written: whatever else was in these would show through. So they are made anew, as
 * large as the guest knows them.
 */
async function emptyDisks({ disks }: MovableXml, sizes: readonly number[], random: Random): Promise<void> {
  for (const [index, { path }] of disks.entries()) {
    const backing = index === 0 ? await readBackingFile(path) : undefined;
    const fresh = `${path}.${random.uuid()}.tmp`;
    await writeFile(fresh, '', { mode: 0o600, flag: 'wx' });
    try {
      const bytes = sizes[index] ?? 0;
      if (backing) await createOverlay(fresh, backing, bytes);
      else await makeDisk(fresh, bytes);
      await rename(fresh, path);
    } catch (error) {
      await rm(fresh, { force: true });
      throw error;
    }
  }
}

async function makeDisk(path: string, bytes: number): Promise<void> {
  await using file = await open(path, 'r+');
  await createDisk(file, bytes);
}

/**
 * Of the sockets that we listen at QEMU connects to one itself, as its own user. They are handed over before their directory is, in which QEMU could put
 * anything in their place.
 */
async function lendSockets({ memory, disks }: MoveSockets, user: QemuUser): Promise<void> {
  for (const socket of [memory, disks]) await lchown(socket, user.uid, user.gid);
  for (const socket of [memory, disks]) await makeScreenDirectory(socket, user);
}

/** This host's libvirt or QEMU may not be able to run what comes. */
async function explained<T>(call: Promise<T>): Promise<T> {
  try {
    return await call;
  } catch (error) {
    if (!isLibvirtError(error, errorCode.configUnsupported)) throw error;
    throw new MachineError(`The machine cannot be moved, because the host cannot run it: ${error.message}`, {
      cause: error,
    });
  }
}

function unlessInvalid(error: unknown): void {
  if (!isLibvirtError(error, errorCode.operationInvalid)) throw error;
}
