/** The hypervisor driver for libvirt and QEMU. Every method asks libvirt; nothing is remembered here. */
import { cpus } from 'node:os';
import type { HostFacts } from '#lib/api/messages.ts';
import { type Clock, systemClock } from '#lib/std/clock.ts';
import { type Random, systemRandom } from '#lib/std/random.ts';
import { firstUntraversable } from '#lib/std/traversable.ts';
import type { Domain, DomainEvent, DomainSpec, Hypervisor } from '../hypervisor.ts';
import { readBackingFile } from './backing-file.ts';
import { type DomainXml, domainName, domainXml, readDomainXml } from './domain-xml.ts';
import { decodeEvent, domainEvent } from './events.ts';
import type { Limits } from './limits.ts';
import { powerOf } from './power.ts';
import {
  type DomainRef,
  decodeDomain,
  encodeDomain,
  encodeUuid,
  errorCode,
  isLibvirtError,
  powerButton,
  procedure,
  undefineEverything,
  xmlInactive,
} from './protocol.ts';
import { openSession, type Session } from './session.ts';
import * as xdr from './xdr.ts';

/** libvirt probes QEMU at the first start of a host, which takes many seconds without KVM. */
const startDeadlineMs = 120_000;
const destroyDeadlineMs = 60_000;
const domainsMax = 16_384;

export interface LibvirtOptions {
  /** libvirtd's unix socket; /run/libvirt/libvirt-sock unless told. */
  readonly socket?: string;
  /** uid of the installation: a domain of ours that carries another one is foreign. Without it every domain with our metadata is ours. */
  readonly installation?: string;
  /** Whether guests get KVM. Only where one was seen to run (kvm-probe.ts): some hosts advertise a KVM that cannot. */
  readonly kvm?: () => Promise<boolean>;
  /** What guests are limited in; nothing unless told. */
  readonly limits?: Limits;
  readonly clock?: Clock;
  readonly random?: Random;
}

/** Connects in the background at once; calls wait for the connection, and fail when it does not come. Dispose to close it. */
export function libvirtHypervisor(options: LibvirtOptions): Hypervisor {
  return new LibvirtDriver(options);
}

class LibvirtDriver implements Hypervisor {
  readonly #watchers = new Set<(event: DomainEvent | 'lost') => void>();
  readonly #installation: string | undefined;
  readonly #kvm: () => Promise<boolean>;
  readonly #limits: Limits;
  readonly #session: Session;

  constructor({ socket, installation, kvm, limits, clock, random }: LibvirtOptions) {
    this.#installation = installation;
    this.#kvm = kvm ?? (async () => false);
    this.#limits = limits ?? { processors: false, memory: false };
    this.#session = openSession({
      socket: socket ?? '/run/libvirt/libvirt-sock',
      uri: 'qemu:///system',
      clock: clock ?? systemClock,
      random: random ?? systemRandom,
      onMessage: (number, body) => {
        const event = decodeEvent(number, body);
        if (event) this.#tell(domainEvent(event));
      },
      onRestored: () => this.#tell('lost'),
    });
  }

  async facts(): Promise<HostFacts> {
    const [libvirt, qemu, kvm] = await Promise.all([
      this.#session.call(procedure.connectGetLibVersion),
      this.#session.call(procedure.connectGetVersion),
      this.#kvm(),
    ]);
    const cpuModel = cpus()[0]?.model ?? 'unknown';
    return {
      hypervisor: 'libvirt',
      kvm,
      cpuModel,
      libvirt: version(libvirt.uint64()),
      qemu: version(qemu.uint64()),
    };
  }

  async list(): ReturnType<Hypervisor['list']> {
    const answer = await this.#session.call(
      procedure.connectListAllDomains,
      Buffer.concat([xdr.int32(1), xdr.uint32(0)]),
    );
    const domains = answer.list(() => decodeDomain(answer), domainsMax);
    const ours: Domain[] = [];
    const foreign = { count: 0, cores: 0, memoryMiB: 0 };
    for (const domain of domains) {
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
    const found = await this.#lookup(uid);
    const seen = found && (await this.#look(found));
    return seen && this.#isOurs(seen.xml) ? seen.domain : undefined;
  }

  async define(spec: DomainSpec): Promise<void> {
    const found = await this.#lookup(spec.uid);
    const seen = found && (await this.#look(found));
    if (seen && !this.#isOurs(seen.xml)) {
      throw new Error(`Cannot define ${domainName(spec.uid)}: a domain with this uuid exists and is not ours`);
    }
    const backing = await readBackingFile(spec.rootDisk);
    const host = { kvm: await this.#kvm(), limits: this.#limits };
    await this.#session.call(procedure.domainDefineXml, xdr.string(domainXml(spec, backing, host)));
  }

  async start(uid: string): Promise<void> {
    const domain = await this.#require(uid, 'start');
    try {
      await this.#session.call(procedure.domainCreate, encodeDomain(domain), startDeadlineMs);
    } catch (error) {
      // Refused because it runs is what was asked for.
      if (isLibvirtError(error, errorCode.operationInvalid) && (await this.get(uid))?.power !== 'Off') return;
      throw explainDenied(error);
    }
  }

  async shutdown(uid: string): Promise<void> {
    await this.#whileOn(uid, 'shut down', procedure.domainShutdownFlags, xdr.uint32(powerButton));
  }

  async reboot(uid: string): Promise<void> {
    await this.#whileOn(uid, 'reboot', procedure.domainReboot, xdr.uint32(powerButton));
  }

  async reset(uid: string): Promise<void> {
    await this.#whileOn(uid, 'reset', procedure.domainReset, xdr.uint32(0));
  }

  async suspend(uid: string): Promise<void> {
    await this.#unlessAlready(uid, 'suspend', 'Paused', procedure.domainSuspend);
  }

  async resume(uid: string): Promise<void> {
    await this.#unlessAlready(uid, 'resume', 'On', procedure.domainResume);
  }

  async destroy(uid: string): Promise<void> {
    const domain = await this.#lookup(uid);
    if (!domain) return;
    const args = Buffer.concat([encodeDomain(domain), xdr.uint32(0)]);
    await this.#ignoring(
      [errorCode.noDomain, errorCode.operationInvalid],
      procedure.domainDestroyFlags,
      args,
      destroyDeadlineMs,
    );
  }

  async undefine(uid: string): Promise<void> {
    const domain = await this.#lookup(uid);
    if (!domain) return;
    // libvirt would make a running domain transient, and our next look would find it again.
    if ((await this.#look(domain))?.domain.power !== 'Off')
      throw new Error(`Cannot undefine ${domain.name}: it is not off; destroy it first`);
    const args = Buffer.concat([encodeDomain(domain), xdr.uint32(undefineEverything)]);
    await this.#ignoring([errorCode.noDomain], procedure.domainUndefineFlags, args);
  }

  watch(onEvent: (event: DomainEvent | 'lost') => void): Disposable {
    this.#watchers.add(onEvent);
    return { [Symbol.dispose]: () => void this.#watchers.delete(onEvent) };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#watchers.clear();
    await this.#session[Symbol.asyncDispose]();
  }

  #tell(event: DomainEvent | 'lost' | undefined): void {
    if (event) for (const watcher of this.#watchers) watcher(event);
  }

  #isOurs({ machine }: DomainXml): boolean {
    return machine !== undefined && (this.#installation === undefined || machine.installation === this.#installation);
  }

  async #lookup(uid: string): Promise<DomainRef | undefined> {
    try {
      return decodeDomain(await this.#session.call(procedure.domainLookupByUuid, encodeUuid(uid)));
    } catch (error) {
      if (isLibvirtError(error, errorCode.noDomain)) return undefined;
      throw error;
    }
  }

  async #require(uid: string, verb: string): Promise<DomainRef> {
    const domain = await this.#lookup(uid);
    if (!domain) throw new Error(`Cannot ${verb} ${domainName(uid)}: libvirt has no such domain`);
    return domain;
  }

  /** undefined if it went away since it was listed. */
  async #look(domain: DomainRef): Promise<{ readonly domain: Domain; readonly xml: DomainXml } | undefined> {
    try {
      // The stored definition, not the running one: adopting a running machine changes its attempt there.
      const description = await this.#session.call(
        procedure.domainGetXmlDesc,
        Buffer.concat([encodeDomain(domain), xdr.uint32(xmlInactive)]),
      );
      const state = await this.#session.call(
        procedure.domainGetState,
        Buffer.concat([encodeDomain(domain), xdr.uint32(0)]),
      );
      const xml = readDomainXml(description.string());
      const power = powerOf(state.int32(), state.int32());
      return { domain: { uid: domain.uuid, attempt: xml.machine?.attempt ?? 0, ...power }, xml };
    } catch (error) {
      if (isLibvirtError(error, errorCode.noDomain)) return undefined;
      throw error;
    }
  }

  /** For what means nothing to a machine that is off. */
  async #whileOn(uid: string, verb: string, number: number, flags: Buffer): Promise<void> {
    const domain = await this.#require(uid, verb);
    await this.#ignoring([errorCode.operationInvalid], number, Buffer.concat([encodeDomain(domain), flags]));
  }

  async #unlessAlready(uid: string, verb: string, wanted: Domain['power'], number: number): Promise<void> {
    const domain = await this.#require(uid, verb);
    try {
      await this.#session.call(number, encodeDomain(domain));
    } catch (error) {
      if (isLibvirtError(error, errorCode.operationInvalid) && (await this.get(uid))?.power === wanted) return;
      throw error;
    }
  }

  async #ignoring(codes: readonly number[], number: number, args: Buffer, deadlineMs?: number): Promise<void> {
    try {
      await this.#session.call(number, args, deadlineMs);
    } catch (error) {
      if (!isLibvirtError(error, ...codes)) throw error;
    }
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

/** libvirt packs a version as major * 1,000,000 + minor * 1,000 + release. */
function version(packed: number): string {
  return [Math.floor(packed / 1_000_000), Math.floor(packed / 1_000) % 1_000, packed % 1_000].join('.');
}
