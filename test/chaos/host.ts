/**
 * One machine of a data center as it really is: power, domains, disks, network entries. They outlive every process on it. What processes
 * see of it is `hostFor`, which is slow, fails now and then, and says nothing any more to a dead process.
 */
import type { Guard, Table } from '#executor/fence/guard.ts';
import type { Host } from '#executor/host.ts';
import type { Domain, DomainEvent, DomainSpec, HostDevices, Hypervisor, Moves } from '#executor/hypervisor.ts';
import { MachineError } from '#executor/hypervisor.ts';
import type { importImage } from '#executor/images/import.ts';
import {
  atTime,
  goesOn,
  paused,
  plugged,
  powerButton,
  publicView,
  rebooted,
  resumed,
  type SimDomain,
  sentAway,
  started,
  switchedOff,
} from '#executor/sim/domain.ts';
import { simPorts } from '#executor/sim/ports.ts';
import { noVolumes } from '#executor/volumes/none.ts';
import type { MachineNetwork } from '#lib/api/launch.ts';
import type { Clock } from '#lib/std/clock.ts';
import type { Random } from '#lib/std/random.ts';
import type { Life } from './life.ts';

export const imageDigest = 'd'.repeat(64);
const bootMs = 4_000;
const guardMs = 500;
/** In so many steps a guest is sent, each of so much at most. */
const sendParts = 4;
const sendPartMs = 8_000;

/** Told of whatever happens to a domain, at once. */
export interface Witness {
  started(host: RealHost, uid: string): void;
  /** By order of the executor, not by the guest and not by a power cut. */
  cut(host: RealHost, uid: string, how: 'shutdown' | 'destroy' | 'reset' | 'undefine'): void;
  /** It goes on here as it ran at another host. */
  took(host: RealHost, uid: string): void;
  /** All of it was sent, and it goes on here all the same. */
  stayed(host: RealHost, uid: string): void;
  /** Its host has switched it off by itself. */
  fenced(host: RealHost, uid: string): void;
  /** Its disks go. */
  erased(host: RealHost, uid: string): void;
}

export class RealHost {
  readonly hostname: string;
  /** For guests; the executor's share and odd ends come on top of it. */
  cores = 8;
  readonly memoryMiB = 16_384;
  bootId: string;
  readonly domains = new Map<string, SimDomain>();
  readonly disks = new Set<string>();
  /** Networks that a machine is attached to here. */
  readonly nics = new Map<string, readonly MachineNetwork[]>();
  readonly #watchers = new Set<(event: DomainEvent | 'lost') => void>();
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #witness: Witness;
  /** What the guardian knows, in memory: gone with the power. */
  #table: Table | undefined;
  /** Of the table that it watches over; undefined while there is none. */
  #guardian: number | undefined;
  /** None can be started. */
  isGuardless = false;
  /** Chance that a call to libvirt fails, and that it takes half a minute. */
  failing = 0;
  slow = 0;

  constructor(hostname: string, clock: Clock, random: Random, witness: Witness) {
    this.hostname = hostname;
    this.#clock = clock;
    this.#random = random;
    this.#witness = witness;
    this.bootId = random.uuid();
  }

  /** As the agent's flag says it: amounts that no double holds exactly, ports in pieces. */
  get resources(): string {
    return `cpus:${this.cores + 0.8};mem:${this.memoryMiB}.3;disk:100000.1;ports:[31000-31004,31006-31007,31011-31040]`;
  }

  /** Uids of the guests that run or are paused here now. One that is received is not here yet, and one that was sent stands until it is decided. */
  live(): string[] {
    return [...this.domains.keys()].filter((uid) => {
      const { power, receiving, sent } = this.#at(uid)!;
      return power !== 'Off' && receiving === undefined && sent === undefined;
    });
  }

  at(uid: string): Domain | undefined {
    const domain = this.#at(uid);
    return domain && publicView(domain);
  }

  /** Power is cut and comes back: definitions and disks stay, nothing runs. */
  reboot(): void {
    for (const [uid, { spec, receiving }] of [...this.domains]) {
      if (receiving === undefined) this.domains.set(uid, { spec, power: 'Off' });
      else this.domains.delete(uid);
    }
    this.bootId = this.#random.uuid();
    this.#table = undefined;
    this.#guardian = undefined;
  }

  /** Its fences need no executor: there are none, or the guardian watches over them. */
  get isGuarded(): boolean {
    return this.#guardian !== undefined || !this.#table?.watches.length;
  }

  killGuardian(): void {
    this.#guardian = undefined;
  }

  /** The guest does something by itself. */
  guest(uid: string, what: 'Rebooted' | 'Shutdown' | 'Crashed' | 'Destroyed'): void {
    const domain = this.#at(uid);
    if (!domain || !this.live().includes(uid)) return;
    if (what === 'Rebooted') this.#reset(domain);
    else this.#put(switchedOff(domain, what));
  }

  /** Its disk fails until it is mended. */
  breakDisk(uid: string): void {
    const domain = this.#at(uid);
    if (domain && this.live().includes(uid)) this.#put({ ...paused(domain, 'IOError'), broken: true });
  }

  mendDisk(uid: string): void {
    const domain = this.#at(uid);
    if (domain) this.#put({ ...domain, broken: false });
  }

  hostFor(life: Life): Host {
    return {
      hypervisor: this.#hypervisor(life),
      devices: this.#devices(life),
      images: {
        ...{ find: async (digest) => `/images/${digest}`, digests: async () => [imageDigest] },
        ...{ restore: async () => undefined, kept: async () => [], places: (digest) => [`/images/${digest}`] },
        ...{ claim: async () => undefined, discard: async () => undefined, tidy: async () => undefined },
      },
      bootId: async () => this.bootId,
      guard: () => this.#guard(life),
    };
  }

  /** Takes its time, and fails now and then. */
  importFor(life: Life): typeof importImage {
    return async (_launch, { signal }) =>
      await life.call(async () => {
        await life.clock.sleep(1_000 + Math.floor(this.#random.next() * 60_000), signal);
        if (this.#random.next() < 0.2) throw new Error('The source does not answer');
        return { digest: imageDigest, format: 'qcow2', size: 2 ** 20, virtualSize: 2 ** 30 };
      });
  }

  #hypervisor(life: Life): Hypervisor {
    const call = <T>(work: () => T) => this.#call(life, work);
    const onUid = (work: (domain: SimDomain, uid: string) => void) => (uid: string) =>
      call(() => work(this.#need(uid), uid));
    const now = () => this.#clock.now();
    return {
      facts: async () => ({ hypervisor: 'sim', kvm: false, cpuModel: 'imitated', migrates: true }),
      moves: this.#moves(life),
      list: () =>
        call(() => {
          const ours = [...this.domains.keys()].map((uid) => publicView(this.#at(uid)!));
          return { ours, foreign: { count: 0, cores: 0, memoryMiB: 0 } };
        }),
      get: (uid) => call(() => this.at(uid)),
      define: (spec) => call(() => this.#define(spec)),
      start: onUid((domain, uid) => {
        if (domain.power !== 'Off') return;
        this.#witness.started(this, uid);
        this.#put(started(domain, now()));
        if (this.#isOver(uid)) this.#clock.timeout(() => this.#watchOver(), 100);
      }),
      plug: onUid((domain) => this.#put(plugged(domain))),
      shutdown: onUid((domain, uid) => {
        if (domain.power !== 'Off') this.#witness.cut(this, uid, 'shutdown');
        this.#put(powerButton(domain, bootMs, now()));
      }),
      reboot: onUid((domain) => this.#reset(domain)),
      reset: onUid((domain, uid) => {
        this.#witness.cut(this, uid, 'reset');
        this.#reset(domain);
      }),
      screenshot: noLook,
      openScreen: noLook,
      agent: noLook,
      copyDisk: noLook,
      copyState: async () => 'Failed',
      stopCopy: async () => undefined,
      suspend: onUid((domain) => this.#put(paused(domain, 'User'))),
      resume: onUid((domain, uid) => {
        if (domain.receiving || domain.sent) throw new Error(`Cannot resume domain ${uid}: it is being moved`);
        this.#put(domain.broken ? paused(resumed(domain), 'IOError') : resumed(domain));
      }),
      destroy: (uid) =>
        call(() => {
          const domain = this.#at(uid);
          if (!domain || domain.power === 'Off') return;
          if (this.#isOver(uid)) this.#witness.fenced(this, uid);
          else if (!domain.receiving && !domain.sent) this.#witness.cut(this, uid, 'destroy');
          this.#put(switchedOff(domain, 'Destroyed'));
        }),
      undefine: (uid) =>
        call(() => {
          const domain = this.#at(uid);
          if (domain && domain.power !== 'Off') throw new Error(`Cannot undefine domain ${uid}: it is ${domain.power}`);
          if (domain) this.#witness.cut(this, uid, 'undefine');
          this.domains.delete(uid);
        }),
      watch: (onEvent) => {
        const hear = (event: DomainEvent | 'lost') => this.#clock.timeout(() => life.enter(() => onEvent(event)), 20);
        this.#watchers.add(hear);
        const stop = () => void this.#watchers.delete(hear);
        life.onEnd(stop);
        return { [Symbol.dispose]: stop };
      },
      [Symbol.asyncDispose]: async () => undefined,
    };
  }

  /** What is received ends with the process that receives it; what was sent stays so whoever dies. */
  #moves(life: Life): Moves {
    const call = <T>(work: () => T) => this.#call(life, work);
    const leaving = (uid: string): SimDomain => {
      const domain = this.#at(uid);
      if (!domain || !this.live().includes(uid)) throw new MachineError(`Machine ${uid} does not run here`);
      if (domain.pausedReason === 'IOError') throw new MachineError('A disk of the machine does not work');
      return domain;
    };
    const refuse = (uid: string) => {
      if (this.domains.get(uid)?.receiving) this.domains.delete(uid);
    };
    return {
      describe: (spec) => call(() => JSON.stringify({ uid: spec.uid })),
      begin: (uid) => call(() => JSON.stringify({ uid: leaving(uid).spec.uid })),
      receive: (spec) =>
        call(() => {
          const { uid } = spec;
          if (this.#at(uid))
            throw new Error(`Cannot receive machine ${uid}: there is a domain of it on ${this.hostname}`);
          const receiving = this.#random.uuid();
          this.#put({ spec, power: 'Paused', pausedReason: 'Other', receiving });
          life.onEnd(() => this.domains.get(uid)?.receiving === receiving && refuse(uid));
          return receiving;
        }),
      send: async (uid, received, _sockets, { signal, progress }) => {
        for (let part = 1; part <= sendParts; part++) {
          await life.clock.sleep(Math.floor(this.#random.next() * sendPartMs), signal);
          await call(() => leaving(uid));
          progress(part, sendParts);
        }
        return await call(() => {
          signal.throwIfAborted();
          const { spec: _, ...guest } = leaving(uid);
          this.#put(sentAway(leaving(uid)));
          return JSON.stringify({ received, guest });
        });
      },
      take: (uid, sent) =>
        call(() => {
          const domain = this.#at(uid);
          if (domain && !domain.receiving) return;
          const { received, guest } = JSON.parse(sent) as { received: string; guest: Omit<SimDomain, 'spec'> };
          if (domain?.receiving !== received) {
            refuse(uid);
            throw new Error(`Cannot take machine ${uid} over: what was sent is not for what is received here`);
          }
          this.domains.set(uid, { spec: domain.spec, power: 'Off' });
          this.#witness.took(this, uid);
          this.#put({ ...guest, spec: domain.spec });
        }),
      refuse: (uid) => call(() => refuse(uid)),
      end: (uid, taken) =>
        call(() => {
          const domain = this.#at(uid);
          if (!domain || domain.receiving) return;
          if (taken) this.domains.delete(uid);
          else if (domain.sent) {
            this.#witness.stayed(this, uid);
            this.#put(goesOn(domain));
          }
        }),
    };
  }

  /** What the executor writes is there at once; the guardian, which no fault of a process reaches, looks twice a second. */
  #guard(life: Life): Guard {
    return {
      now: () => this.#clock.monotonic(),
      read: () => this.#table,
      write: (table) => {
        this.#table = table;
        this.#clock.timeout(() => this.#watchOver(), guardMs);
        for (const { deadlineMs } of table.watches)
          this.#clock.timeout(() => this.#watchOver(), Math.max(0, deadlineMs - this.#clock.monotonic()) + guardMs);
      },
      look: async () => {
        if (this.#guardian === undefined && !this.isGuardless) {
          this.#guardian = 0;
          this.#clock.timeout(() => this.#watchOver(), guardMs);
          return undefined;
        }
        return this.#guardian;
      },
      cut: async (uid) => await life.call(async () => this.#cutOff(uid)),
    };
  }

  #watchOver(): void {
    if (this.#guardian === undefined || !this.#table) return;
    this.#guardian = this.#table.number;
    for (const { uid } of this.#table.watches) if (this.#isOver(uid)) this.#cutOff(uid);
  }

  #isOver(uid: string): boolean {
    const watch = this.#table?.watches.find((each) => each.uid === uid);
    return watch !== undefined && watch.deadlineMs <= this.#clock.monotonic();
  }

  #cutOff(uid: string): void {
    const domain = this.#at(uid);
    if (!domain || domain.power === 'Off') return;
    this.#witness.fenced(this, uid);
    this.#put(switchedOff(domain, 'Crashed'));
  }

  #devices(life: Life): HostDevices {
    const call = <T>(work: () => T) => this.#call(life, work);
    return {
      makeDisks: ({ uid, disks = [] }) =>
        call(() => {
          this.disks.add(uid);
          const dataDisks = disks.map(({ name }) => ({ name, path: `/vms/${uid}/disk-${name}.qcow2` }));
          return { rootDisk: `/vms/${uid}/root.qcow2`, dataDisks, seedDisk: `/vms/${uid}/seed.iso` };
        }),
      requireOwnDisk: async () => undefined,
      makeSeed: (uid) => call(() => void this.disks.add(uid)),
      // Of the images of this world nothing is ever removed.
      backings: async () => [],
      removeDisks: (uid) =>
        call(() => {
          this.#witness.erased(this, uid);
          this.disks.delete(uid);
        }),
      attachNetworks: ({ uid, networks }) =>
        call(() => {
          this.nics.set(uid, networks);
          return networks.map(({ mac, mtu, vni }, index) => ({
            ...{ tap: `t${uid.slice(0, 8)}-${index}`, bridge: `cfbr${vni}`, mac, mtu },
          }));
        }),
      requireFree: async () => undefined,
      ...simPorts(() => true),
      requireWhole: async () => undefined,
      detachNetworks: (uid) => call(() => void this.nics.delete(uid)),
      setPeers: async () => undefined,
      volumes: noVolumes,
      copies: noCopies,
      owners: () => call(() => [...new Set([...this.disks, ...this.nics.keys()])]),
    };
  }

  async #call<T>(life: Life, work: () => T): Promise<T> {
    return await life.call(async () => {
      const slow = this.#random.next() < this.slow;
      await life.clock.sleep(slow ? 30_000 : 5 + Math.floor(this.#random.next() * 40));
      if (this.#random.next() < this.failing) throw new Error('libvirt: Cannot recv data: Connection reset by peer');
      return work();
    });
  }

  #define(spec: DomainSpec): void {
    const domain = this.#at(spec.uid);
    this.domains.set(spec.uid, domain ? { ...domain, spec } : { spec, power: 'Off' });
  }

  #reset(domain: SimDomain): void {
    if (domain.power !== 'On') throw new Error(`Cannot reset domain ${domain.spec.uid}: it is ${domain.power}`);
    this.#put(rebooted(domain, this.#clock.now()));
  }

  #need(uid: string): SimDomain {
    const domain = this.#at(uid);
    if (!domain) throw new Error(`There is no domain ${uid}`);
    return domain;
  }

  #at(uid: string): SimDomain | undefined {
    const domain = this.domains.get(uid);
    return domain && atTime(domain, this.#clock.now());
  }

  #put(domain: SimDomain): void {
    const { uid } = domain.spec;
    this.domains.set(uid, domain);
    if (domain.offAt !== undefined) this.#clock.timeout(() => this.#settle(uid), domain.offAt - this.#clock.now());
    else this.#tell(publicView(domain));
  }

  #settle(uid: string): void {
    const domain = this.#at(uid);
    if (domain?.power === 'Off' && this.domains.get(uid)!.power !== 'Off') this.#put(domain);
  }

  #tell(event: DomainEvent): void {
    for (const watcher of this.#watchers) watcher(event);
  }
}

/** Machines of a trial have no snapshots. */
const noCopies: HostDevices['copies'] = {
  fileFor: (uid) => `/vms/${uid}/snapshot.qcow2`,
  requireRoom: noLook,
  copy: noLook,
  flatten: noLook,
  prepare: noLook,
  replace: noLook,
  clear: async () => undefined,
};

async function noLook(): Promise<never> {
  throw new MachineError('Nobody looks at the machines of a trial');
}
