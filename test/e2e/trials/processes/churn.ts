/** Machines come and go, alone and in pools, while some are wanted from the beginning to the end. */
import { Namespace } from '#lib/api/core.ts';
import { Image, Subnet, VirtualMachine, VMPool } from '#lib/api/generated/index.ts';
import type { Kind } from '#lib/api/meta.ts';
import type { Client } from '#lib/client/client.ts';
import { systemClock } from '#lib/std/clock.ts';
import { isCode } from '#lib/std/errors.ts';
import type { Random } from '#lib/std/random.ts';

export const namespace = 'trial';
const pools = ['ebb', 'flow', 'tide'];
const mostReplicas = 4;
const mostAlone = 6;
const keptAlone = ['kept-alone-0', 'kept-alone-1'];
const longestPauseMs = 1_500;

const meta = ({ group, version, kind }: Kind, name: string) => ({
  apiVersion: group === '' ? version : `${group}/${version}`,
  kind,
  metadata: { name, ...(kind === 'Namespace' ? {} : { namespace }) },
});

const machine = {
  resources: { cores: 1, memory: '128Mi' },
  image: { name: 'tiny' },
  networks: [{ subnet: 'net' }],
  terminationGracePeriod: '5s',
};

/** A pool with a machine on every host, so that every host has an executor to be hurt, and two machines of their own. */
export async function makeWanted(client: Client, hosts: number): Promise<void> {
  await client.create(Namespace, meta(Namespace, namespace));
  await client.create(Subnet, {
    ...meta(Subnet, 'net'),
    spec: { cidr: '10.66.0.0/24', releaseCooldown: '5s' } as never,
  });
  await client.create(Image, { ...meta(Image, 'tiny'), spec: { source: { file: { path: 'tiny.img' } } } as never });
  const placement = { constraints: [{ key: 'host', operator: 'UNIQUE' }] };
  await makePool(client, 'kept', hosts, { ...machine, placement });
  for (const name of keptAlone) await makeMachine(client, name);
  for (const name of pools) await makePool(client, name, 1, machine);
}

async function makePool(client: Client, name: string, replicas: number, spec: object): Promise<void> {
  await client.create(VMPool, { ...meta(VMPool, name), spec: { replicas, template: { spec } } as never });
}

async function makeMachine(client: Client, name: string): Promise<void> {
  await client.create(VirtualMachine, { ...meta(VirtualMachine, name), spec: machine as never });
}

export function isKept(name: string): boolean {
  return name.startsWith('kept-');
}

export class Churn {
  readonly #client: Client;
  readonly #random: Random;
  readonly #alone = new Set<string>();
  #made = 0;
  /** Steps that were taken. */
  steps = 0;

  constructor(client: Client, random: Random) {
    this.#client = client;
    this.#random = random;
  }

  /** Until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.#step();
      this.steps++;
      await systemClock.sleep(this.#random.next() * longestPauseMs, signal).catch(() => undefined);
    }
  }

  async #step(): Promise<void> {
    const chance = this.#random.next();
    if (chance < 0.5) await this.#scale();
    else if (this.#alone.size < mostAlone && (chance < 0.75 || this.#alone.size === 0)) await this.#make();
    else await this.#remove();
  }

  async #scale(): Promise<void> {
    const name = pools[Math.floor(this.#random.next() * pools.length)]!;
    const replicas = Math.floor(this.#random.next() * (mostReplicas + 1));
    await this.#client.patch(VMPool, { name, namespace }, { spec: { replicas } });
  }

  async #make(): Promise<void> {
    const name = `alone-${this.#made++}`;
    this.#alone.add(name);
    await makeMachine(this.#client, name);
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
