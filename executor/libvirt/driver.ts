/** The hypervisor driver for libvirt and QEMU. Every method asks libvirt; nothing is remembered here. */
import { cpus } from 'node:os';
import type { Duplex } from 'node:stream';
import type { HostFacts } from '#lib/api/messages.ts';
import { type Clock, systemClock } from '#lib/std/clock.ts';
import { type Random, systemRandom } from '#lib/std/random.ts';
import { firstUntraversable } from '#lib/std/traversable.ts';
import { requireAlone } from '../disks/own-disk.ts';
import {
  type AgentCommand,
  type Domain,
  type DomainEvent,
  type DomainPower,
  type DomainSpec,
  type Hypervisor,
  leftMessage,
  MachineError,
} from '../hypervisor.ts';
import { agentError } from './agent.ts';
import { readBackingFile } from './backing-file.ts';
import { backupXml, rootDisk } from './backup.ts';
import { type DomainXml, domainName, domainXml, pluggedInterfaces, readDomainXml } from './domain-xml.ts';
import { domainEvent } from './events.ts';
import { Libvirt } from './libvirt.ts';
import type { Limits } from './limits.ts';
import { LibvirtMoves } from './moves.ts';
import { asPng } from './picture.ts';
import { type DomainRef, errorCode, isLibvirtError, jobType, migrationOut } from './protocol.ts';
import { QemuBook } from './qemu-book.ts';
import { removeRuntimeFiles } from './runtime-files.ts';
import { connectToScreen, makeScreenDirectory, noScreen, type QemuUser, qemuUser } from './screen.ts';

export interface LibvirtHypervisorOptions {
  /** libvirtd's unix socket; /run/libvirt/libvirt-sock unless told. */
  readonly socket?: string;
  /** uid of the installation: a domain of ours that carries another one is foreign. Without it every domain with our metadata is ours. */
  readonly installation?: string;
  /** Whether guests get KVM. Only where one was seen to run (kvm-probe.ts): some hosts advertise a KVM that cannot. */
  readonly kvm?: () => Promise<boolean>;
  /** What guests are limited in; nothing unless told. */
  readonly limits?: Limits;
  /** Known for this driver alone unless given. */
  readonly processes?: QemuBook;
  /** Where libvirt keeps files of guests that run; /var/lib/libvirt/qemu of the libvirt at the usual socket, and of another not known unless told. */
  readonly runtimeDirectory?: string;
  readonly clock?: Clock;
  readonly random?: Random;
}

/** QEMU ends a copy between two requests of it. */
const stopCopyMs = 30_000;
const stopLookMs = 100;

/** Connects in the background at once; calls wait for the connection, and fail when it does not come. Dispose to close it. */
export function libvirtHypervisor(options: LibvirtHypervisorOptions): Hypervisor {
  return new LibvirtDriver(options);
}

class LibvirtDriver implements Hypervisor {
  readonly #watchers = new Set<(event: DomainEvent | 'lost') => void>();
  readonly #installation: string | undefined;
  readonly #kvm: () => Promise<boolean>;
  readonly #limits: Limits;
  readonly #processes: QemuBook;
  readonly #runtimeDirectory: string | undefined;
  readonly #clock: Clock;
  readonly #libvirt: Libvirt;
  readonly moves: LibvirtMoves;
  #user: Promise<QemuUser> | undefined;
  #restored = 0;

  constructor({
    socket,
    installation,
    kvm,
    limits,
    processes,
    runtimeDirectory,
    clock,
    random,
  }: LibvirtHypervisorOptions) {
    this.#installation = installation;
    this.#clock = clock ?? systemClock;
    this.#kvm = kvm ?? (async () => false);
    this.#limits = limits ?? { processors: false, memory: false, weights: false };
    this.#processes = processes ?? new QemuBook();
    this.#runtimeDirectory = runtimeDirectory ?? (socket === undefined ? '/var/lib/libvirt/qemu' : undefined);
    this.#libvirt = new Libvirt({
      ...{ socket, clock, random },
      onEvent: (event) => this.#tell(domainEvent(event)),
      onRestored: () => {
        this.#user = undefined;
        this.#restored += 1;
        this.#tell('lost');
      },
    });
    this.moves = new LibvirtMoves({
      libvirt: this.#libvirt,
      connections: () => this.#restored,
      connect: () => new Libvirt({ socket, clock, random }),
      get: (uid) => this.get(uid),
      destroy: (uid) => this.destroy(uid),
      undefine: (uid) => this.undefine(uid),
      xmlOf: (spec, machine) => this.#xmlOf(spec, machine),
      qemuUser: () => this.#qemuUser(),
      clock: this.#clock,
      random: random ?? systemRandom,
    });
  }

  async facts(): Promise<HostFacts> {
    const [versions, kvm] = await Promise.all([this.#libvirt.versions(), this.#kvm()]);
    const { weights: ioWeights } = this.#limits;
    const cpuModel = cpus()[0]?.model ?? 'unknown';
    return { hypervisor: 'libvirt', kvm, cpuModel, ...versions, migrates: true, ioWeights };
  }

  async list(): ReturnType<Hypervisor['list']> {
    const ours: Domain[] = [];
    const foreign = { count: 0, cores: 0, memoryMiB: 0 };
    for (const domain of await this.#libvirt.domains()) {
      const seen = await this.#look(domain);
      if (!seen) continue;
      if (this.#isOurs(seen.xml)) ours.push(seen.domain);
      else {
        foreign.count += 1;
        foreign.cores += seen.xml.cores;
        foreign.memoryMiB += seen.xml.memoryMiB;
      }
    }
    return { ours, foreign };
  }

  async get(uid: string): Promise<Domain | undefined> {
    const found = await this.#libvirt.lookup(uid);
    const seen = found && (await this.#look(found));
    return seen && this.#isOurs(seen.xml) ? seen.domain : undefined;
  }

  async define(spec: DomainSpec): Promise<void> {
    const found = await this.#libvirt.lookup(spec.uid);
    const seen = found && (await this.#look(found));
    if (seen && !this.#isOurs(seen.xml)) {
      throw new Error(`Cannot define ${domainName(spec.uid)}: a domain with this uuid exists and is not ours`);
    }
    // libvirt would store it, and keep it when what is received ends.
    if (seen?.domain.receiving)
      throw new Error(`Cannot define ${domainName(spec.uid)}: it is received from another host`);
    await this.#libvirt.define(await this.#xmlOf(spec));
  }

  /** Looks at its disks, and makes the place of its screen. */
  async #xmlOf(spec: DomainSpec, machine?: string): Promise<string> {
    const backing = await readBackingFile(spec.rootDisk);
    // Before every start, since it is defined anew for each.
    for (const disk of spec.dataDisks ?? []) await requireAlone(disk);
    const host = { kvm: await this.#kvm(), limits: this.#limits, machine };
    await makeScreenDirectory(spec.vncSocket, await this.#qemuUser());
    return domainXml(spec, backing, host);
  }

  async start(uid: string): Promise<void> {
    const domain = await this.#require(uid, 'start');
    const left = (await this.#look(domain))?.domain.left;
    if (left) throw new Error(`Cannot start ${domain.name}: ${leftMessage(left)}`);
    try {
      await this.#libvirt.start(domain);
      this.#processes.runs(uid);
    } catch (error) {
      // Refused because it runs is what was asked for.
      if (isLibvirtError(error, errorCode.operationInvalid) && (await this.get(uid))?.power !== 'Off') return;
      throw explainDenied(error);
    }
  }

  async plug(uid: string): Promise<void> {
    const domain = await this.#require(uid, 'plug in');
    for (const device of pluggedInterfaces(await this.#libvirt.running(domain)))
      await this.#libvirt.updateDevice(domain, device);
  }

  async shutdown(uid: string): Promise<void> {
    const domain = await this.#require(uid, 'shut down');
    await ignoring(this.#libvirt.shutdown(domain), errorCode.operationInvalid);
  }

  async reboot(uid: string): Promise<void> {
    const domain = await this.#require(uid, 'reboot');
    await ignoring(this.#libvirt.reboot(domain), errorCode.operationInvalid);
  }

  async reset(uid: string): Promise<void> {
    const domain = await this.#require(uid, 'reset');
    await ignoring(this.#libvirt.reset(domain), errorCode.operationInvalid);
  }

  async suspend(uid: string): Promise<void> {
    const domain = await this.#require(uid, 'suspend');
    await this.#unlessAlready('Paused', uid, this.#libvirt.suspend(domain));
  }

  async resume(uid: string): Promise<void> {
    const domain = await this.#require(uid, 'resume');
    const seen = (await this.#look(domain))?.domain;
    if (seen?.receiving || seen?.sent) throw new Error(`Cannot resume ${domain.name}: it is moved between hosts`);
    await this.#unlessAlready('On', uid, this.#libvirt.resume(domain));
  }

  async destroy(uid: string): Promise<void> {
    const domain = await this.#libvirt.lookup(uid);
    if (domain) await ignoring(this.#libvirt.destroy(domain), errorCode.noDomain, errorCode.operationInvalid);
  }

  async undefine(uid: string): Promise<void> {
    const domain = await this.#libvirt.lookup(uid);
    if (!domain) return;
    // libvirt would make a running domain transient, and our next look would find it again.
    const seen = await this.#look(domain);
    if (seen?.domain.power !== 'Off')
      throw new Error(`Cannot undefine ${domain.name}: it is not off; destroy it first`);
    if (seen.domain.left) throw new Error(`Cannot undefine ${domain.name}: ${leftMessage(seen.domain.left)}`);
    await ignoring(this.#libvirt.undefine(domain), errorCode.noDomain);
  }

  async tidy(): Promise<readonly string[]> {
    if (this.#runtimeDirectory === undefined) return [];
    const running = async () => (await this.#libvirt.domains()).filter(({ id }) => id >= 0);
    return await removeRuntimeFiles(this.#runtimeDirectory, running, this.#clock.now());
  }

  async screenshot(uid: string): Promise<Buffer> {
    const domain = await this.#requireRunning(uid);
    try {
      return await asPng(await this.#libvirt.screenshot(domain));
    } catch (error) {
      if (!isLibvirtError(error, errorCode.operationInvalid)) throw error;
      throw new MachineError(noScreen, { cause: error });
    }
  }

  async openScreen(uid: string): Promise<Duplex> {
    const domain = await this.#requireRunning(uid);
    const socket = (await this.#look(domain))?.xml.vncSocket;
    if (socket === undefined) throw new MachineError(noScreen);
    return await connectToScreen(socket, await this.#qemuUser());
  }

  async agent(uid: string, command: AgentCommand, deadlineMs: number): Promise<unknown> {
    const domain = await this.#requireRunning(uid);
    const seconds = Math.max(1, Math.ceil(deadlineMs / 1000));
    let answer: string;
    try {
      answer = await this.#libvirt.agentCommand(domain, JSON.stringify(command), seconds);
    } catch (error) {
      throw agentError(error);
    }
    return (JSON.parse(answer) as { readonly return?: unknown }).return;
  }

  async copyDisk(uid: string, file: string): Promise<void> {
    const domain = await this.#requireRunning(uid);
    await this.#libvirt.beginBackup(domain, backupXml(await this.#libvirt.running(domain), file));
  }

  async copyState(uid: string): Promise<'Copying' | 'Copied' | 'Failed'> {
    const domain = await this.#libvirt.lookup(uid);
    if (!domain) return 'Failed';
    if ((await this.#libvirt.backup(domain)) !== undefined) return 'Copying';
    try {
      await this.#libvirt.settled(domain, rootDisk);
      return (await this.#libvirt.lastJobCompleted(domain)) ? 'Copied' : 'Failed';
    } catch (error) {
      if (isLibvirtError(error, errorCode.operationInvalid)) return 'Failed';
      throw error;
    }
  }

  async stopCopy(uid: string): Promise<void> {
    const domain = await this.#libvirt.lookup(uid);
    if (!domain || (await this.#libvirt.backup(domain)) === undefined) return;
    await ignoring(this.#libvirt.abortJob(domain), errorCode.operationInvalid);
    const deadline = this.#clock.monotonic() + stopCopyMs;
    while ((await this.#libvirt.backup(domain)) !== undefined) {
      if (this.#clock.monotonic() > deadline) throw new Error(`The copy of the disk of ${domain.name} does not end`);
      await this.#clock.sleep(stopLookMs);
    }
    await ignoring(this.#libvirt.settled(domain, rootDisk), errorCode.noDomain, errorCode.operationInvalid);
  }

  watch(onEvent: (event: DomainEvent | 'lost') => void): Disposable {
    this.#watchers.add(onEvent);
    return { [Symbol.dispose]: () => void this.#watchers.delete(onEvent) };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#watchers.clear();
    await this.moves[Symbol.asyncDispose]();
    await this.#libvirt[Symbol.asyncDispose]();
  }

  #tell(event: DomainEvent | 'lost' | undefined): void {
    if (event) for (const watcher of this.#watchers) watcher(event);
  }

  #isOurs({ machine }: DomainXml): boolean {
    return machine !== undefined && (this.#installation === undefined || machine.installation === this.#installation);
  }

  /** Asked once of every libvirtd: the next one may have been given another configuration. */
  async #qemuUser(): Promise<QemuUser> {
    this.#user ??= this.#libvirt.capabilities().then(qemuUser);
    try {
      return await this.#user;
    } catch (error) {
      this.#user = undefined;
      throw error;
    }
  }

  async #requireRunning(uid: string): Promise<DomainRef> {
    const domain = await this.#libvirt.lookup(uid);
    const seen = domain && (await this.#look(domain));
    if (seen && this.#isOurs(seen.xml) && seen.domain.power !== 'Off' && !seen.domain.receiving) return domain;
    throw new MachineError('The machine does not run');
  }

  async #require(uid: string, verb: string): Promise<DomainRef> {
    const domain = await this.#libvirt.lookup(uid);
    if (!domain) throw new Error(`Cannot ${verb} ${domainName(uid)}: libvirt has no such domain`);
    return domain;
  }

  /** undefined if it went away since it was listed. */
  async #look(domain: DomainRef): Promise<{ readonly domain: Domain; readonly xml: DomainXml } | undefined> {
    try {
      // The stored definition, not the running one: adopting a running machine changes its attempt there.
      const xml = readDomainXml(await this.#libvirt.definition(domain));
      const power = await this.#lookAtPower(domain);
      return {
        domain: { uid: domain.uuid, attempt: xml.machine?.attempt ?? 0, ...power, ...this.#leftOf(domain.uuid, power) },
        xml,
      };
    } catch (error) {
      if (isLibvirtError(error, errorCode.noDomain)) return undefined;
      throw error;
    }
  }

  /** What does not run may be on its way from host to host. */
  async #lookAtPower(domain: DomainRef): Promise<DomainPower & Pick<Domain, 'receiving' | 'sent'>> {
    const { migrating, ...power } = await this.#libvirt.power(domain);
    if (power.power === 'On') return power;
    // Stored when its guest is there: until then it is no machine of this host, whatever libvirt calls its state.
    if ((migrating || power.pausedReason !== 'User') && !(await this.#libvirt.persistent(domain)))
      return { power: 'Paused', pausedReason: 'Other', receiving: true };
    const sent = migrating || (power.pausedReason === 'User' && (await this.#wasSent(domain)));
    return sent ? { ...power, sent } : power;
  }

  /** One that was paused before shows no other state when it was sent. */
  async #wasSent(domain: DomainRef): Promise<boolean> {
    try {
      const { type, operation } = await this.#libvirt.lastJob(domain);
      return type === jobType.completed && operation === migrationOut;
    } catch (error) {
      if (isLibvirtError(error, errorCode.operationInvalid)) return false;
      throw error;
    }
  }

  #leftOf(uid: string, { power }: DomainPower): Pick<Domain, 'left'> {
    if (power !== 'Off') this.#processes.runs(uid);
    const left = power === 'Off' ? this.#processes.leftOf(uid) : undefined;
    return left ? { left } : {};
  }

  async #unlessAlready(wanted: Domain['power'], uid: string, call: Promise<void>): Promise<void> {
    try {
      await call;
    } catch (error) {
      if (isLibvirtError(error, errorCode.operationInvalid) && (await this.get(uid))?.power === wanted) return;
      throw error;
    }
  }
}

/** For what means nothing to a machine that is off, or gone. */
async function ignoring(call: Promise<void>, ...codes: readonly number[]): Promise<void> {
  try {
    await call;
  } catch (error) {
    if (!isLibvirtError(error, ...codes)) throw error;
  }
}

/** QEMU runs as a user of its own, and says only that permission was denied. */
function explainDenied(error: unknown): unknown {
  const path = error instanceof Error ? /'(\/[^']+)': Permission denied/.exec(error.message)?.[1] : undefined;
  const closed = path === undefined ? undefined : firstUntraversable(path);
  if (closed === undefined) return error;
  const message = `QEMU's user cannot enter ${closed} on the way to ${path}; chmod o+x ${closed}, or keep the executor's root and images elsewhere`;
  return new Error(message, { cause: error });
}
