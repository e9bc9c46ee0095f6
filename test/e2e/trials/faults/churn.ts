/** Machines come and go, alone and in pools, while some are wanted from the beginning to the end. */
import { Namespace } from '#lib/api/core.ts';
import { Image, Subnet, VirtualMachine, VMPool } from '#lib/api/generated/index.ts';
import type { Kind } from '#lib/api/meta.ts';
import type { Client } from '#lib/client/client.ts';
import { systemClock } from '#lib/std/clock.ts';
import { isCode } from '#lib/std/errors.ts';
import type { Random } from '#lib/std/random.ts';

export const namespace = 'trial';

/** What is wanted from the beginning to the end, and what comes and goes. */
export interface Wanted {
  /** A pool with a machine on every host, so that every host has an executor to be hurt. */
  readonly hosts: number;
  /** Machines beside it that are wanted as long. */
  readonly keptAlone: readonly string[];
  /** Pools that are scaled up and down. */
  readonly pools: readonly string[];
  readonly mostReplicas: number;
  /** Machines that come and go alone. */
  readonly mostAlone: number;
  readonly longestPauseMs: number;
  readonly memory: string;
  /** Of the subnet: addresses that no machine gets. */
  readonly excludeIPs?: readonly string[];
  /** Restarts one machine, as one step of many. */
  readonly restart?: () => Promise<void>;
  /** Moves one machine to another host as it runs, likewise. */
  readonly migrate?: () => Promise<void>;
}

const meta = ({ group, version, kind }: Kind, name: string) => ({
  apiVersion: group === '' ? version : `${group}/${version}`,
  kind,
  metadata: { name, ...(kind === 'Namespace' ? {} : { namespace }) },
});

const machineOf = (memory: string) => ({
  resources: { cores: 1, memory },
  image: { name: 'tiny' },
  networks: [{ subnet: 'net' }],
  terminationGracePeriod: '5s',
});

export async function makeWanted(client: Client, wanted: Wanted): Promise<void> {
  const machine = machineOf(wanted.memory);
  await client.create(Namespace, meta(Namespace, namespace));
  await client.create(Subnet, {
    ...meta(Subnet, 'net'),
    spec: { cidr: '10.66.0.0/24', releaseCooldown: '5s', excludeIPs: wanted.excludeIPs ?? [] } as never,
  });
  await client.create(Image, { ...meta(Image, 'tiny'), spec: { source: { file: { path: 'tiny.img' } } } as never });
  const placement = { constraints: [{ key: 'host', operator: 'UNIQUE' }] };
  await makePool(client, 'kept', wanted.hosts, { ...machine, placement });
  for (const name of wanted.keptAlone) await makeMachine(client, name, machine);
  for (const name of wanted.pools) await makePool(client, name, 1, machine);
}

async function makePool(client: Client, name: string, replicas: number, spec: object): Promise<void> {
  await client.create(VMPool, { ...meta(VMPool, name), spec: { replicas, template: { spec } } as never });
}

async function makeMachine(client: Client, name: string, spec: object): Promise<void> {
  await client.create(VirtualMachine, { ...meta(VirtualMachine, name), spec: spec as never });
}

export function isKept(name: string): boolean {
  return name.startsWith('kept-');
}

/** Of all steps. */
const restartShare = 0.25;
/** Of those that are left. */
const migrateShare = 0.35;

export class Churn {
  readonly #client: Client;
  readonly #wanted: Wanted;
  readonly #random: Random;
  readonly #alone = new Set<string>();
  #made = 0;
  /** Steps that were taken. */
  steps = 0;

  constructor(client: Client, wanted: Wanted, random: Random) {
    this.#client = client;
    this.#wanted = wanted;
    this.#random = random;
  }

  /** Until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.#step();
      this.steps++;
      await systemClock.sleep(this.#random.next() * this.#wanted.longestPauseMs, signal).catch(() => undefined);
    }
  }

  async #step(): Promise<void> {
    const chance = this.#random.next();
    const { mostAlone, restart, migrate } = this.#wanted;
    if (restart && this.#random.next() < restartShare) await restart();
    else if (migrate && this.#random.next() < migrateShare) await migrate();
    else if (chance < 0.5) await this.#scale();
    else if (this.#alone.size < mostAlone && (chance < 0.75 || this.#alone.size === 0)) await this.#make();
    else await this.#remove();
  }

  async #scale(): Promise<void> {
    const { mostReplicas, pools } = this.#wanted;
    const name = pools[Math.floor(this.#random.next() * pools.length)]!;
    const replicas = Math.floor(this.#random.next() * (mostReplicas + 1));
    await this.#client.patch(VMPool, { name, namespace }, { spec: { replicas } });
  }

  async #make(): Promise<void> {
    const name = `alone-${this.#made++}`;
    this.#alone.add(name);
    await makeMachine(this.#client, name, machineOf(this.#wanted.memory));
  }

  async #remove(): Promise<void> {
    const names = [...this.#alone];
    const name = names[Math.floor(this.#random.next() * names.length)]!;
    this.#alone.delete(name);
    await this.#client.delete(VirtualMachine, { name, namespace });
  }
}

/** Asks for the end of all of them. */
export async function removeAll(client: Client): Promise<void> {
  for (const kind of [VMPool, VirtualMachine])
    for (const { metadata } of (await client.list(kind as Kind<VMPool | VirtualMachine>, { namespace })).items)
      await client.delete(kind, { name: metadata.name, namespace }).catch((error: unknown) => {
        if (!isCode(error, 'NotFound')) throw error;
      });
}
