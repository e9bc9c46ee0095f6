/** What can go wrong, and for how long. Each fault ends by itself; `heal` ends all at once. */
import type { Random } from '#lib/std/random.ts';
import { clearSky } from './api.ts';
import type { AtFinish } from './host-links.ts';
import type { HostProcesses } from './host-processes.ts';
import type { Life } from './life.ts';
import { type Chances, Messages } from './messages.ts';
import type { Observer } from './observer.ts';
import { Operator } from './operator.ts';
import type { World } from './world.ts';

const servers = ['server0', 'server1'] as const;
const masters = ['master0', 'master1'] as const;

export class Faults {
  readonly #random: Random;
  readonly messages: Messages;
  #world!: World;
  #observer!: Observer;
  operator!: Operator;
  /** Has machines moved. */
  onMove: () => void = () => undefined;
  #active = true;
  /** How often each was made, by name. */
  readonly made = new Map<string, number>();

  constructor(random: Random) {
    this.#random = random;
    this.messages = new Messages(random);
  }

  begin(world: World, observer: Observer): void {
    this.#world = world;
    this.#observer = observer;
    this.operator = new Operator(world, observer, this.#random);
  }

  /** One fault, drawn at random. */
  strike(): void {
    const names = Object.keys(this.#kinds);
    const name = names[Math.floor(this.#random.next() * names.length)]!;
    this.made.set(name, (this.made.get(name) ?? 0) + 1);
    this.#world.trace(`fault ${name}`);
    if (process.env.CF_CHAOS_FAULTS) console.log(new Date(this.#world.clock.now()).toISOString().slice(11, 23), name);
    this.#kinds[name]!();
  }

  /** Everything is as it should be from now on. */
  heal(): void {
    const world = this.#world;
    this.#active = false;
    this.messages.calm();
    Object.assign(world.weather, clearSky());
    world.network.heal();
    Object.assign(world.links, { losing: 0, atFinish: undefined });
    world.endSplit();
    world.startMasters();
    for (const each of world.hosts) {
      each.startAgent();
      each.startDelayMs = 0;
      Object.assign(each.host, { failing: 0, slow: 0, isGuardless: false });
    }
    for (const life of this.#lives()) {
      life.doom = undefined;
      life.skewMs = 0;
      life.goOn();
    }
    void this.operator.undoAll();
  }

  readonly #kinds: Readonly<Record<string, () => void>> = {
    masterCrash: () => {
      this.#world.leader?.kill();
      this.#later(1_000, 90_000, () => this.#world.startMasters(this.#number(30_000)));
    },
    /** The registry is kept, all else is lost; for a while the new one answers 503. */
    masterFailover: () => this.#world.elect(this.#number(2), this.#number(60_000)),
    twoLeaders: () => {
      const mistaken = this.#world.hosts.filter(() => this.#happens(0.5)).map(({ host }) => host.hostname);
      const end = this.#world.splitMasters(mistaken);
      this.#later(1_000, 100_000, end);
    },
    agentCrash: () => this.#agentDown((host) => host.killAgent()),
    /** For longer than machines are waited for: there will be others in their place when they are back. */
    agentAway: () => this.#agentDown(() => undefined, 1_500_000),
    /** Likewise, and only the guardian is left there: where it was asked for, it switches machines off. */
    hostAlone: () => this.#agentDown((host) => this.#crashExecutors(host), 1_500_000),
    hostStopped: () => {
      const host = this.#host();
      if (!host.host.isGuarded) return;
      host.killAgent();
      for (const { worker } of host.supervisors) this.#pause(worker, 1_500_000);
      this.#later(60_000, 1_500_000, () => host.startAgent());
    },
    /** Not with the worker stopped, see #crashExecutors. */
    guardianCrash: () => {
      const host = this.#host();
      if (this.#isWorking(host)) host.host.killGuardian();
    },
    /** Nobody switches its machines off, and the host has said so. */
    hostGuardless: () => {
      const host = this.#host();
      if (!this.#isWorking(host)) return;
      host.host.isGuardless = true;
      host.host.killGuardian();
      this.#later(30_000, 90_000, () => {
        if (this.#isArmed(host.host.hostname)) return;
        host.killAgent();
        host.killExecutors();
      });
      this.#later(600_000, 1_500_000, () => {
        host.host.isGuardless = false;
        host.startAgent();
      });
    },
    /** What ends meanwhile is told by nobody but the executor, when the agent is back. */
    agentMissesEnds: () =>
      this.#agentDown(({ host }) => {
        for (const uid of host.live()) host.guest(uid, 'Shutdown');
      }),
    /** The executors of before are still there when it starts new ones. */
    agentWipe: () =>
      this.#agentDown((host) => {
        host.wipeAgent();
        host.startDelayMs = this.#happens(0.5) ? this.#number(60_000) : 0;
        this.#later(180_000, 300_000, () => {
          host.startDelayMs = 0;
        });
      }),
    /** Of that much room there is more from now on: what the agent remembers is less than what it says. */
    agentGrows: () =>
      this.#agentDown(({ host }) => {
        host.cores = Math.min(12, host.cores + 1);
      }),
    powerCut: () => this.#agentDown((host) => host.powerCut()),
    /** Somebody vouches for it: its machines go elsewhere, and what is left of them there is nobody's. */
    powerCutConfirmed: () =>
      this.#agentDown((host) => {
        const { bootId } = host.host;
        host.powerCut();
        host.isVouched = true;
        void this.operator.confirmDead(host.host.hostname, bootId);
      }),
    executorCrash: () => this.#crashExecutors(this.#host()),
    /** FAILURE is told once, to whoever listens then. */
    executorCrashUnheard: () => {
      for (const server of servers) for (const master of masters) this.#world.network.reset(master, server);
      this.#crashExecutors(this.#host());
    },
    executorHang: () => {
      const { host, supervisors } = this.#host();
      if (host.isGuarded) for (const { worker } of supervisors) this.#pause(worker, 400_000);
    },
    executorStartsSlowly: () => {
      const host = this.#host();
      host.startDelayMs = this.#number(90_000);
      if (this.#happens(0.5)) this.#crashExecutors(host);
      this.#later(60_000, 300_000, () => {
        host.startDelayMs = 0;
      });
    },
    journalLost: () => this.#host().loseJournal(),
    workerCrash: () => this.#host().killWorkers(),
    workerDoom: () => {
      for (const { worker } of this.#host().supervisors) this.#doom(worker);
    },
    serverDoom: () => this.#doom(this.#pick(this.#world.servers)),
    serverCrash: () => this.#pick(this.#world.servers)?.kill(),
    serverFreeze: () => this.#freeze(this.#pick(this.#world.servers)),
    controllersFreeze: () => this.#freeze(this.#world.controllers),
    controllersDoom: () => this.#doom(this.#world.controllers),
    stop: () => {
      const life = this.#pick(this.#lives());
      const unguarded = this.#world.hosts.filter(({ host }) => !host.isGuarded);
      const isNeeded = unguarded.some(({ supervisors }) => [...supervisors].some(({ worker }) => worker === life));
      if (!isNeeded) this.#pause(life, 120_000);
    },
    hostCut: () => this.#cut(this.#host().host.hostname, 'both'),
    hostCutOneWay: () => this.#cut(this.#host().host.hostname, this.#happens(0.5) ? 'in' : 'out'),
    /** From each other: what goes from host to host meets it, and nothing else. */
    hostsCut: () => this.#cutHosts(true),
    hostsCutOneWay: () => this.#cutHosts(false),
    moveCut: () => this.#atFinish('answered', (from, to) => this.#cutFrom(to, [from])),
    /** Nobody hears whether it took it. */
    moveAlone: () => this.#atFinish('answered', (from, to) => this.#cutFrom(to, [from, ...masters])),
    /** The source alone hears that it took it. */
    moveUnheard: () => this.#atFinish('asked', (_from, to) => this.#cutFrom(to, masters)),
    moveSourceCrash: () => this.#atFinish(this.#moment(), (from) => this.#on(from).killWorkers()),
    moveDestinationCrash: () => this.#atFinish(this.#moment(), (_from, to) => this.#on(to).killWorkers()),
    movePowerCut: () =>
      this.#atFinish(this.#moment(), (from, to) => {
        const host = this.#on(this.#happens(0.5) ? from : to);
        host.powerCut();
        this.#later(1_000, 180_000, () => host.startAgent());
      }),
    linksLose: () => {
      this.#world.links.losing = 0.3;
      this.#later(5_000, 120_000, () => {
        this.#world.links.losing = 0;
      });
    },
    serverCut: () => this.#cut(this.#pick(servers)!, 'both'),
    serverCutOneWay: () => this.#cut(this.#pick(servers)!, this.#happens(0.5) ? 'in' : 'out'),
    reset: () => this.#connections((a, b) => this.#world.network.reset(a, b)),
    halfOpen: () => this.#connections((a, b) => this.#world.network.forget(a, b)),
    slowNetwork: () => {
      const maxMs = this.#number(8_000);
      this.#connections((a, b) => this.#world.network.slowDown(a, b, maxMs));
      this.#later(5_000, 120_000, () => this.#world.network.heal());
    },
    apiAway: () => this.#weather({ away: true }, 60_000),
    /** Its lease runs out while it goes on: with the masters it can talk again before. */
    serverIsolated: () => {
      const server = this.#pick(servers)!;
      this.#cut(server, 'both', 30_000);
      this.#weather({ awayFrom: server }, 120_000);
    },
    apiRefuses: () => this.#weather({ refuses: 0.3 }, 120_000),
    apiLosesAnswers: () => this.#weather({ losesAnswers: 0.3 }, 120_000),
    apiConflicts: () => this.#weather({ conflicts: 0.5 }, 300_000),
    /** Who writes that an attempt begins or ends has bad luck: the moment at which the most depends on it. */
    attemptConflicts: () => this.#atAttempt(() => 'conflicts'),
    attemptUnanswered: () => this.#atAttempt(() => 'losesAnswer'),
    attemptLate: () =>
      this.#atAttempt((writer) => {
        this.#stopForLong(writer);
        return undefined;
      }),
    /** What it writes of a machine arrives when the machine may have left its host, and another leads. */
    statusLate: () => {
      this.#world.weather.atStatus = (writer, { status }) => {
        if (!writer.name.startsWith('server') || !status?.attempt) return false;
        this.#stopForLong(writer);
        void this.operator.drain(status.attempt.host!);
        return true;
      };
    },
    watchBehind: () => this.#weather({ watchDelayMs: 1 + this.#number(40_000) }, 240_000),
    watchesEnd: () => {
      if (this.#happens(0.5)) this.#world.api.store.compact();
      this.#world.api.endWatches();
    },
    messagesLost: () => this.#disturb({ lost: 0.4 }),
    messagesTwice: () => this.#disturb({ duplicated: 0.4 }),
    callsRefused: () => this.#disturb({ refused: 0.05 }),
    answersLost: () => this.#disturb({ answerLost: 0.05 }),
    launchesUnanswered: () => this.#disturb({ launchUnanswered: 0.7 }, 400_000),
    recordsTorn: () => this.#disturb({ torn: 0.05 }),
    heartbeatsSkipped: () => this.#disturb({ skipped: 1 }),
    acksLate: () => this.#disturb({ ackDelayMs: this.#number(9_000) }),
    offersRescinded: () => this.#disturbOffers((agentId) => this.operator.rescindSoon(agentId)),
    offersReserved: () => this.#disturbOffers((agentId) => this.operator.reserveSoon(agentId)),
    libvirtFails: () => this.#libvirt({ failing: 0.3 }),
    libvirtSlow: () => this.#libvirt({ slow: 0.2 }),
    clockJump: () => {
      const life = this.#pick(this.#lives());
      if (life) life.skewMs += Math.floor((this.#random.next() - 0.5) * 600_000);
    },
  };

  #host(): HostProcesses {
    return this.#pick(this.#world.hosts)!;
  }

  #isWorking({ supervisors }: HostProcesses): boolean {
    return supervisors.size > 0 && [...supervisors].every(({ worker }) => worker && !worker.dead && !worker.stopped);
  }

  /** Without its guardian and without an executor a host that is cut off switches nothing off: one of the two has to run (docs/operations.md). */
  #crashExecutors(host: HostProcesses): void {
    if (host.host.isGuarded) host.killExecutors();
  }

  /** So it is stored of a machine there. */
  #isArmed(hostname: string): boolean {
    return this.#observer.machines().some(({ status }) => {
      const { host, fence } = status?.attempt ?? {};
      return host === hostname && fence?.armed === true;
    });
  }

  #lives(): Life[] {
    const world = this.#world;
    const workers = world.hosts.flatMap(({ supervisors }) => [...supervisors].map(({ worker }) => worker));
    const agents = world.hosts.map(({ agent }) => agent);
    return [
      ...world.masters.map((each) => each?.life),
      ...world.servers,
      world.controllers,
      ...agents,
      ...workers,
    ].filter((life) => life !== undefined && !life.dead) as Life[];
  }

  #agentDown(how: (host: HostProcesses) => void, maxMs = 180_000): void {
    const host = this.#host();
    host.killAgent();
    how(host);
    this.#later(1_000, maxMs, () => host.startAgent());
  }

  /** For longer than a lease lasts. */
  #stopForLong(life: Life): void {
    life.stop();
    this.#later(20_000, 90_000, () => life.goOn());
  }

  #pause(life: Life | undefined, maxMs: number): void {
    life?.stop();
    this.#later(1_000, maxMs, () => life?.goOn());
  }

  #doom(life: Life | undefined, strike = () => life?.kill()): void {
    if (life) life.doom = { calls: 1 + this.#number(60), when: this.#happens(0.5) ? 'before' : 'after', strike };
  }

  /** Stopped with a call on its way: when it goes on, others may have led, and what it asks for is old. */
  #freeze(life: Life | undefined): void {
    this.#doom(life, () => this.#pause(life, 120_000));
  }

  /** From the masters, as seen from the machine. */
  #cut(machine: string, ways: 'both' | 'in' | 'out', maxMs = 200_000): void {
    for (const master of masters) {
      if (ways !== 'out') this.#world.network.cut(master, machine);
      if (ways !== 'in') this.#world.network.cut(machine, master);
    }
    this.#later(2_000, maxMs, () => this.#world.network.heal());
  }

  #moment(): AtFinish['when'] {
    return this.#happens(0.5) ? 'asked' : 'answered';
  }

  /** And somebody moves machines now, so that there is such a moment. */
  #atFinish(when: AtFinish['when'], strike: (source: string, destination: string) => void): void {
    const hostname = ({ name }: Life) => name.split('/', 1)[0]!;
    this.#world.links.atFinish = {
      when,
      strike: (source, destination) => this.#active && strike(hostname(source), hostname(destination)),
    };
    this.onMove();
  }

  #on(hostname: string): HostProcesses {
    return this.#world.hosts.find(({ host }) => host.hostname === hostname)!;
  }

  #cutFrom(machine: string, others: readonly string[]): void {
    for (const other of others) {
      this.#world.network.cut(machine, other);
      this.#world.network.cut(other, machine);
    }
    this.#later(60_000, 400_000, () => this.#world.network.heal());
  }

  #cutHosts(bothWays: boolean): void {
    const [a, b] = [this.#host().host.hostname, this.#host().host.hostname];
    this.#world.network.cut(a, b);
    if (bothWays) this.#world.network.cut(b, a);
    this.#later(2_000, 400_000, () => this.#world.network.heal());
  }

  #connections(what: (a: string, b: string) => void): void {
    const machine = this.#happens(0.5) ? this.#host().host.hostname : this.#pick(servers)!;
    for (const master of masters) what(master, machine);
  }

  #weather(weather: Partial<World['weather']>, maxMs: number): void {
    Object.assign(this.#world.weather, weather);
    this.#later(1_000, maxMs, () => {
      const { atAttempt, atStatus } = this.#world.weather;
      Object.assign(this.#world.weather, clearSky(), { atAttempt, atStatus });
    });
  }

  #atAttempt(atAttempt: NonNullable<World['weather']['atAttempt']>): void {
    this.#world.weather.atAttempt = atAttempt;
  }

  #disturb(chances: Partial<Chances>, maxMs = 120_000): void {
    this.messages.set(chances);
    this.#later(5_000, maxMs, () => this.messages.calm());
  }

  #disturbOffers(how: (agentId: string) => void): void {
    this.messages.onOffers = (agentIds) => agentIds.filter(() => this.#happens(0.5)).forEach(how);
    this.#disturb({ disturbedOffers: 0.5 });
  }

  #libvirt(how: { failing?: number; slow?: number }): void {
    const { host } = this.#host();
    Object.assign(host, how);
    this.#later(5_000, 120_000, () => Object.assign(host, { failing: 0, slow: 0 }));
  }

  #later(minMs: number, maxMs: number, act: () => void): void {
    this.#world.clock.timeout(() => this.#active && act(), minMs + this.#number(maxMs - minMs));
  }

  #number(below: number): number {
    return Math.floor(this.#random.next() * below);
  }

  #happens(chance: number): boolean {
    return this.#random.next() < chance;
  }

  #pick<T>(list: readonly T[]): T | undefined {
    return list[this.#number(list.length)];
  }
}
