/**
 * The imitation hypervisor, for hosts without libvirt and for a thousand machines on a laptop. Its domains go on while no worker runs,
 * as libvirt's do: all state is in files, and what time brings is worked out at the next look.
 */
import { mkdirSync, readdirSync, rmSync } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import type { Clock } from '#lib/std/clock.ts';
import type { Log } from '#lib/std/log.ts';
import { type Random, systemRandom } from '#lib/std/random.ts';
import { png } from '../console/png.ts';
import {
  type AgentCommand,
  type Domain,
  type DomainEvent,
  type DomainSpec,
  type HostDevices,
  type Hypervisor,
  MachineError,
} from '../hypervisor.ts';
import { SimAgent } from './agent.ts';
import { bootLog, SimConsole } from './console.ts';
import { copySimDisk, requireSimAlone } from './copies.ts';
import { type SimNics, simDevices } from './devices.ts';
import {
  atTime,
  paused,
  plugged,
  powerButton,
  publicView,
  rebooted,
  resumed,
  type SimDomain,
  started,
  switchedOff,
} from './domain.ts';
import { JsonDirectory } from './files.ts';
import { SimMoves } from './moves.ts';
import { simPicture, simScreen } from './screen.ts';

export interface SimOptions {
  readonly root: string;
  /** From power-on until the guest answers. */
  readonly bootMs: number;
  /** Whether guests have an agent. */
  readonly agents: boolean;
  /** Names of the Gluster volumes that are imitated; none unless told. */
  readonly glusterVolumes?: readonly string[];
  /** How long it takes to send a guest to another host; a second unless told. */
  readonly moveMs?: number;
  readonly random?: Random;
  readonly clock: Clock;
  readonly log: Log;
}

/**
 * What a guest can do by itself, `hang` among it; `break` and `mend` are what its disk does. A file `<root>/sim/inject/<uid>.<word>` makes it happen within a
 * second, from any process.
 */
const injections = ['shutdown', 'crash', 'reboot', 'destroy', 'hang', 'break', 'mend'] as const;
export type Injection = (typeof injections)[number];

const injectionsEveryMs = 1000;
const defaultMoveMs = 1000;

export interface Sim {
  readonly hypervisor: SimHypervisor;
  readonly devices: HostDevices;
}

/** Opens the imitated host under `options.root`, with whatever has been running there. */
export function openSim(options: SimOptions): Sim {
  const nics = new JsonDirectory<SimNics>(join(options.root, 'sim', 'nics'));
  const hypervisor = new SimHypervisor(options, nics);
  return { hypervisor, devices: simDevices(options.root, nics, options.glusterVolumes, (uid) => hypervisor.isUp(uid)) };
}

export class SimHypervisor implements Hypervisor {
  readonly #options: SimOptions;
  readonly #domains: JsonDirectory<SimDomain>;
  readonly #nics: JsonDirectory<SimNics>;
  readonly #consoles = new Map<string, SimConsole>();
  readonly #timers = new Map<string, Disposable>();
  readonly #watchers = new Set<(event: DomainEvent | 'lost') => void>();
  readonly #injections: string;
  readonly #agent = new SimAgent();
  /** uids whose disk was copied. An imitated copy is made at once. */
  readonly #copied = new Set<string>();
  readonly #closed = new AbortController();
  readonly moves: SimMoves;
  #poll: Disposable;

  constructor(options: SimOptions, nics: JsonDirectory<SimNics>) {
    this.#options = options;
    this.#nics = nics;
    this.#domains = new JsonDirectory(join(options.root, 'sim', 'domains'));
    this.#injections = join(options.root, 'sim', 'inject');
    mkdirSync(this.#injections, { recursive: true });
    // Nobody holds any more what another process began to receive.
    this.#dropReceiving();
    for (const [, domain] of this.#domains.entries()) this.#settle(domain, false);
    this.#poll = this.#pollInjections();
    const { clock, moveMs = defaultMoveMs, random = systemRandom } = options;
    const domains = {
      at: (uid: string) => this.#at(uid),
      put: (domain: SimDomain) => this.#put(domain),
      remove: (uid: string) => this.#remove(uid),
    };
    this.moves = new SimMoves(domains, { clock, moveMs, random, closed: this.#closed.signal });
  }

  /** Closes sockets and timers. The domains go on, but for those that wait for their guest. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed.abort(new Error('The driver was closed'));
    this.#dropReceiving();
    this.#poll[Symbol.dispose]();
    for (const timer of this.#timers.values()) timer[Symbol.dispose]();
    for (const each of this.#consoles.values()) each[Symbol.dispose]();
    this.#watchers.clear();
  }

  async facts() {
    const cpuModel = cpus()[0]?.model ?? 'unknown';
    return { hypervisor: 'sim', kvm: false, cpuModel, migrates: true, ioWeights: false } as const;
  }

  async list() {
    const uids = [...this.#domains.entries()].map(([uid]) => uid);
    const ours = uids.map((uid) => publicView(this.#at(uid)!));
    return { ours, foreign: { count: 0, cores: 0, memoryMiB: 0 } };
  }

  async get(uid: string): Promise<Domain | undefined> {
    const domain = this.#at(uid);
    return domain && publicView(domain);
  }

  async define(spec: DomainSpec): Promise<void> {
    for (const disk of spec.dataDisks ?? []) await requireSimAlone(disk);
    const domain = this.#at(spec.uid);
    if (domain?.receiving) throw new Error(`Cannot define domain ${spec.uid}: it is received from another host`);
    this.#domains.set(spec.uid, domain ? { ...domain, spec } : { spec, power: 'Off' });
  }

  async start(uid: string): Promise<void> {
    const domain = this.#need(uid);
    if (domain.power === 'Off') this.#put(started(domain, this.#options.clock.now()), true);
  }

  async plug(uid: string): Promise<void> {
    this.#put(plugged(this.#need(uid)));
  }

  async shutdown(uid: string): Promise<void> {
    const { bootMs, clock } = this.#options;
    this.#put(powerButton(this.#need(uid), bootMs, clock.now()));
  }

  async reboot(uid: string): Promise<void> {
    this.#boot(uid);
  }

  async reset(uid: string): Promise<void> {
    this.#boot(uid);
  }

  async suspend(uid: string): Promise<void> {
    const domain = this.#need(uid);
    if (domain.power === 'Off') throw new Error(`Cannot suspend domain ${uid}: it is off`);
    this.#put(paused(domain, 'User'));
  }

  async resume(uid: string): Promise<void> {
    const domain = this.#need(uid);
    if (domain.power === 'Off') throw new Error(`Cannot resume domain ${uid}: it is off`);
    if (domain.receiving || domain.sent) throw new Error(`Cannot resume domain ${uid}: it is moved between hosts`);
    this.#put(resumed(domain));
    if (domain.broken) this.#put(paused(this.#need(uid), 'IOError'));
  }

  async destroy(uid: string): Promise<void> {
    const domain = this.#at(uid);
    if (domain?.receiving) this.#remove(uid);
    else if (domain && domain.power !== 'Off') this.#put(switchedOff(domain, 'Destroyed'));
  }

  async undefine(uid: string): Promise<void> {
    const domain = this.#at(uid);
    if (domain && domain.power !== 'Off') throw new Error(`Cannot undefine domain ${uid}: it is ${domain.power}`);
    this.#domains.delete(uid);
  }

  async screenshot(uid: string): Promise<Buffer> {
    return await png(simPicture(this.#needRunning(uid).spec));
  }

  async openScreen(uid: string): Promise<Duplex> {
    return simScreen(simPicture(this.#needRunning(uid).spec));
  }

  async agent(uid: string, command: AgentCommand): Promise<unknown> {
    this.#needRunning(uid);
    if (!this.#options.agents || !this.isUp(uid)) throw new MachineError('The guest agent is not connected');
    const frozen = this.#freeze(uid, command.execute);
    if (frozen !== undefined) return frozen;
    return this.#agent.answer(command, this.#nics.get(uid));
  }

  /** It has booted, and does not hang. */
  isUp(uid: string): boolean {
    const { bootMs, clock } = this.#options;
    const domain = this.#at(uid);
    return domain?.power === 'On' && !domain.hung && clock.now() >= (domain.bootedAt ?? 0) + bootMs;
  }

  async copyDisk(uid: string, file: string): Promise<void> {
    this.#copied.delete(uid);
    await copySimDisk(this.#needRunning(uid).spec.rootDisk, file);
    this.#copied.add(uid);
  }

  async copyState(uid: string): Promise<'Copying' | 'Copied' | 'Failed'> {
    return this.#copied.has(uid) && this.#at(uid)?.power !== 'Off' ? 'Copied' : 'Failed';
  }

  async stopCopy(uid: string): Promise<void> {
    this.#copied.delete(uid);
  }

  watch(onEvent: (event: DomainEvent | 'lost') => void): Disposable {
    this.#watchers.add(onEvent);
    return { [Symbol.dispose]: () => void this.#watchers.delete(onEvent) };
  }

  /** Makes the guest do something by itself, for tests. */
  inject(uid: string, what: Injection): void {
    const domain = this.#need(uid);
    if (domain.power === 'Off') return;
    if (what === 'reboot') this.#boot(uid);
    else if (what === 'hang') this.#put({ ...domain, hung: true });
    else if (what === 'break') this.#put({ ...paused(domain, 'IOError'), broken: true });
    else if (what === 'mend') this.#put({ ...domain, broken: false });
    else
      this.#put(switchedOff(domain, ({ shutdown: 'Shutdown', crash: 'Crashed', destroy: 'Destroyed' } as const)[what]));
  }

  /** As QEMU's agent does with one file system; undefined for other commands. */
  #freeze(uid: string, command: string): unknown {
    const { frozen = false, ...domain } = this.#need(uid);
    if (command === 'guest-fsfreeze-status') return frozen ? 'frozen' : 'thawed';
    if (command === 'guest-fsfreeze-freeze') {
      if (frozen) throw new MachineError('The guest agent refuses: Command guest-fsfreeze-freeze has been disabled');
      this.#put({ ...domain, frozen: true });
      return 1;
    }
    if (command !== 'guest-fsfreeze-thaw') return undefined;
    this.#put(domain);
    return frozen ? 1 : 0;
  }

  #boot(uid: string): void {
    const domain = this.#need(uid);
    if (domain.power !== 'On') throw new Error(`Cannot reset domain ${uid}: it is ${domain.power}`);
    this.#put(rebooted(domain, this.#options.clock.now()), true);
    this.#tell({ uid, power: 'On', rebooted: true });
  }

  /** Switches it off if it is on, and forgets it. */
  #remove(uid: string): void {
    const domain = this.#at(uid);
    if (domain && domain.power !== 'Off') this.#put(switchedOff(domain, 'Destroyed'));
    this.#domains.delete(uid);
  }

  #dropReceiving(): void {
    for (const [uid, { receiving }] of [...this.#domains.entries()]) if (receiving) this.#domains.delete(uid);
  }

  #needRunning(uid: string): SimDomain {
    const domain = this.#at(uid);
    if (!domain || domain.power === 'Off' || domain.receiving) throw new MachineError('The machine does not run');
    return domain;
  }

  #need(uid: string): SimDomain {
    const domain = this.#at(uid);
    if (!domain) throw new Error(`There is no domain ${uid}`);
    return domain;
  }

  #at(uid: string): SimDomain | undefined {
    const domain = this.#domains.get(uid);
    return domain && atTime(domain, this.#options.clock.now());
  }

  #put(domain: SimDomain, booted = false): void {
    const { uid } = domain.spec;
    const before = this.#domains.get(uid)?.power;
    this.#domains.set(uid, domain);
    this.#settle(domain, booted);
    if (before !== domain.power) this.#tell(publicView(domain));
  }

  /** Timer and console that belong to this state of the domain. */
  #settle(domain: SimDomain, booted: boolean): void {
    const { uid } = domain.spec;
    const { clock, log } = this.#options;
    this.#timers.get(uid)?.[Symbol.dispose]();
    this.#timers.delete(uid);
    if (domain.offAt !== undefined && domain.power === 'On') {
      const off = () => this.#put(switchedOff(domain, 'Shutdown'));
      this.#timers.set(uid, clock.timeout(off, Math.max(0, domain.offAt - clock.now())));
    }
    if (domain.power === 'Off' || booted) {
      this.#consoles.get(uid)?.[Symbol.dispose]();
      this.#consoles.delete(uid);
    }
    if (domain.power === 'Off' || this.#consoles.has(uid)) return;
    const text = booted ? bootLog(domain.spec, this.#nics.get(uid)) : undefined;
    this.#consoles.set(uid, new SimConsole(domain.spec, text, log));
  }

  #tell(event: DomainEvent): void {
    for (const watcher of this.#watchers) watcher(event);
  }

  #pollInjections(): Disposable {
    return this.#options.clock.timeout(() => {
      for (const name of readdirSync(this.#injections)) this.#takeInjection(name);
      this.#poll = this.#pollInjections();
    }, injectionsEveryMs);
  }

  #takeInjection(name: string): void {
    rmSync(join(this.#injections, name), { force: true });
    const [uid, what] = name.split('.');
    const known: readonly string[] = injections;
    if (uid && what && known.includes(what) && this.#at(uid)) this.inject(uid, what as Injection);
    else this.#options.log.warn('Ignored an injection', { name });
  }
}
