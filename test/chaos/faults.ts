/** What can go wrong, and for how long. Each fault ends by itself; `heal` ends all at once. */
import type { Random } from '#lib/std/random.ts';
import { clearSky } from './api.ts';
import type { HostProcesses } from './host-processes.ts';
import type { Life } from './life.ts';
import type { Tampering } from './network.ts';
import type { World } from './world.ts';

/** Chances per message, zero unless a fault is on. */
interface Messages {
  lost: number;
  duplicated: number;
  refused: number;
  answerLost: number;
}

const calm: Messages = { lost: 0, duplicated: 0, refused: 0, answerLost: 0 };
/** What Mesos itself may lose: it keeps none of these. */
const bestEffort = /"type":"(KILL_TASK|MESSAGE|ACKNOWLEDGE|KILL)"/;

export class Faults implements Tampering {
  readonly #random: Random;
  #world!: World;
  #messages: Messages = { ...calm };
  #active = true;
  /** How often each was made, by name. */
  readonly made = new Map<string, number>();

  constructor(random: Random) {
    this.#random = random;
  }

  begin(world: World): void {
    this.#world = world;
  }

  request(_from: string, _to: string, path: string, body: string) {
    const { refused, answerLost, lost, duplicated } = this.#messages;
    if (this.#happens(refused)) return { body, status: this.#random.next() < 0.5 ? 500 : 503 };
    if (path.startsWith('/mesos-local/') && path.endsWith('/calls'))
      return { body: this.#batch(body, lost, duplicated) };
    const isLost = this.#happens(lost) && /"type":"(KILL|MESSAGE)"/.test(body);
    return isLost ? { body, status: 202 } : { body, loseAnswer: this.#happens(answerLost) };
  }

  chunk(_from: string, _to: string, chunk: Buffer): readonly Buffer[] {
    const { lost, duplicated } = this.#messages;
    if (lost === 0 && duplicated === 0) return [chunk];
    const text = chunk.toString();
    if (this.#happens(lost) && bestEffort.test(text)) return [];
    if (this.#happens(duplicated) && /"type":"(UPDATE|MESSAGE|KILL)"/.test(text)) return [chunk, chunk];
    return this.#random.next() < 0.1 ? [chunk.subarray(0, 7), chunk.subarray(7)] : [chunk];
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
    this.#messages = { ...calm };
    Object.assign(world.weather, clearSky());
    world.network.heal();
    world.startMaster();
    for (const each of world.hosts) {
      each.startAgent();
      each.host.failing = 0;
      each.host.slow = 0;
    }
    for (const life of this.#lives()) {
      life.doom = undefined;
      life.skewMs = 0;
      life.goOn();
    }
  }

  readonly #kinds: Readonly<Record<string, () => void>> = {
    masterCrash: () => {
      this.#world.master?.kill();
      this.#later(1_000, 90_000, () => this.#world.startMaster());
    },
    agentCrash: () => this.#agentDown((host) => host.killAgent()),
    agentWipe: () => this.#agentDown((host) => host.wipeAgent()),
    powerCut: () => this.#agentDown((host) => host.powerCut()),
    executorCrash: () => this.#host().killExecutors(),
    workerCrash: () => this.#host().killWorkers(),
    workerDoom: () => {
      for (const { worker } of this.#host().supervisors) this.#doom(worker);
    },
    serverDoom: () => this.#doom(this.#pick(this.#world.servers)),
    serverCrash: () => this.#pick(this.#world.servers)?.kill(),
    controllersDoom: () => this.#doom(this.#world.controllers),
    masterDoom: () => {
      this.#doom(this.#world.master);
      this.#later(60_000, 90_000, () => this.#world.startMaster());
    },
    stop: () => {
      const life = this.#pick(this.#lives());
      life?.stop();
      this.#later(1_000, 120_000, () => life?.goOn());
    },
    hostCut: () => this.#cut(this.#host().host.hostname),
    serverCut: () => this.#cut(this.#random.next() < 0.5 ? 'server0' : 'server1'),
    reset: () => this.#world.network.reset('master', this.#host().host.hostname),
    serverReset: () => this.#world.network.reset('master', this.#random.next() < 0.5 ? 'server0' : 'server1'),
    apiAway: () => this.#weather({ away: true }, 60_000),
    apiRefuses: () => this.#weather({ refuses: 0.3 }, 120_000),
    apiLosesAnswers: () => this.#weather({ losesAnswers: 0.3 }, 120_000),
    watchBehind: () => this.#weather({ watchDelayMs: 1 + Math.floor(this.#random.next() * 20_000) }, 120_000),
    watchesEnd: () => {
      if (this.#random.next() < 0.5) this.#world.api.store.compact();
      this.#world.api.endWatches();
    },
    messagesLost: () => this.#disturb({ lost: 0.4 }),
    messagesTwice: () => this.#disturb({ duplicated: 0.4 }),
    callsRefused: () => this.#disturb({ refused: 0.05 }),
    answersLost: () => this.#disturb({ answerLost: 0.05 }),
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

  #lives(): Life[] {
    const { master, servers, controllers, hosts } = this.#world;
    const workers = hosts.flatMap(({ supervisors }) => [...supervisors].map(({ worker }) => worker));
    return [master, ...servers, controllers, ...hosts.map(({ agent }) => agent), ...workers].filter(
      (life) => life !== undefined && !life.dead,
    ) as Life[];
  }

  #agentDown(how: (host: HostProcesses) => void): void {
    const host = this.#host();
    how(host);
    this.#later(1_000, 180_000, () => host.startAgent());
  }

  #doom(life: Life | undefined): void {
    if (life)
      life.doom = {
        calls: 1 + Math.floor(this.#random.next() * 60),
        when: this.#random.next() < 0.5 ? 'before' : 'after',
      };
  }

  #cut(machine: string): void {
    this.#world.network.cut('master', machine);
    this.#later(2_000, 200_000, () => this.#world.network.heal());
  }

  #weather(weather: Partial<World['weather']>, maxMs: number): void {
    Object.assign(this.#world.weather, weather);
    this.#later(1_000, maxMs, () => Object.assign(this.#world.weather, clearSky()));
  }

  #disturb(messages: Partial<Messages>): void {
    Object.assign(this.#messages, messages);
    this.#later(5_000, 120_000, () => {
      this.#messages = { ...calm };
    });
  }

  #libvirt(how: { failing?: number; slow?: number }): void {
    const { host } = this.#host();
    Object.assign(host, how);
    this.#later(5_000, 120_000, () => Object.assign(host, { failing: 0, slow: 0 }));
  }

  #later(minMs: number, maxMs: number, act: () => void): void {
    this.#world.clock.timeout(() => this.#active && act(), minMs + Math.floor(this.#random.next() * (maxMs - minMs)));
  }

  #batch(body: string, lost: number, duplicated: number): string {
    if (lost === 0 && duplicated === 0) return body;
    const calls = JSON.parse(body) as { messages: { type: string }[] };
    const messages = calls.messages.flatMap((message) => {
      if (this.#happens(lost)) return [];
      return this.#happens(duplicated) ? [message, message] : [message];
    });
    return JSON.stringify({ ...calls, messages });
  }

  #happens(chance: number): boolean {
    return chance > 0 && this.#random.next() < chance;
  }

  #pick<T>(list: readonly T[]): T | undefined {
    return list[Math.floor(this.#random.next() * list.length)];
  }
}
