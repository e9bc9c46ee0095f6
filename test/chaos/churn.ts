/** What users and guests do meanwhile. */
import { VirtualMachine, VMOperation } from '#lib/api/generated/index.ts';
import { keyOf } from '#lib/api/meta.ts';
import type { Random } from '#lib/std/random.ts';
import type { Observer } from './observer.ts';
import { namespace, type World } from './world.ts';

const apiVersion = 'computefactory.io/v1alpha1';
/** Of 24 cores: room for every machine also while one host is away. */
const maxCores = 12;

export class Churn {
  readonly #world: World;
  readonly #observer: Observer;
  readonly #random: Random;
  #created = 0;

  constructor(world: World, observer: Observer, random: Random) {
    this.#world = world;
    this.#observer = observer;
    this.#random = random;
  }

  async step(): Promise<void> {
    const machines = this.#observer.machines().filter(({ metadata }) => !metadata.deletionTimestamp);
    const cores = machines.reduce((sum, { spec }) => sum + (spec.resources?.cores ?? 0), 0);
    const vm = machines[Math.floor(this.#random.next() * machines.length)];
    const dice = this.#random.next();
    if (vm === undefined || (dice < 0.45 && cores < maxCores - 2)) await this.#create();
    else if (dice < 0.7) await this.#delete(vm);
    else if (dice < 0.8) await this.#setPolicy(vm);
    else if (dice < 0.9) await this.#operate(vm);
    else this.#guest(vm);
  }

  /** Nobody wants anything off any more. */
  async wantAll(): Promise<void> {
    for (const vm of this.#observer.machines())
      if (!vm.metadata.deletionTimestamp && vm.spec.runPolicy !== 'Always') await this.#patch(vm, 'Always');
  }

  async #create(): Promise<void> {
    const name = `m${this.#created++}`;
    const resources = { cores: 1 + Math.floor(this.#random.next() * 3), memory: '1Gi' };
    const spec = { image: { name: 'debian' }, resources, runPolicy: 'Always', networks: [{ subnet: 'net' }] };
    const timing = { terminationGracePeriod: this.#random.next() < 0.5 ? '5s' : '30s' };
    const vm = await this.#world.api.create(VirtualMachine, {
      ...{ apiVersion, kind: 'VirtualMachine', metadata: { name, namespace } },
      spec: { ...spec, ...timing } as never,
    });
    this.#observer.wished(VirtualMachine, vm);
  }

  async #delete(vm: VirtualMachine): Promise<void> {
    this.#observer.renounced(VirtualMachine, keyOf(vm));
    await this.#world.api.delete(VirtualMachine, { name: vm.metadata.name, namespace });
  }

  async #setPolicy(vm: VirtualMachine): Promise<void> {
    this.#observer.mayCut.add(vm.metadata.uid);
    await this.#patch(vm, vm.spec.runPolicy === 'Always' ? 'Halted' : 'Always');
  }

  async #patch({ metadata: { name } }: VirtualMachine, runPolicy: string): Promise<void> {
    const vm = await this.#world.api.patch(VirtualMachine, { name, namespace }, { spec: { runPolicy } });
    this.#observer.wished(VirtualMachine, vm);
  }

  async #operate({ metadata, spec }: VirtualMachine): Promise<void> {
    if (spec.runPolicy !== 'Always') return;
    this.#observer.mayCut.add(metadata.uid);
    const type = this.#random.next() < 0.5 ? 'Restart' : 'Reset';
    await this.#world.api.create(VMOperation, {
      ...{ apiVersion, kind: 'VMOperation', metadata: { name: `op${this.#created++}`, namespace } },
      spec: { vm: metadata.name, type } as never,
    });
  }

  #guest({ metadata: { uid } }: VirtualMachine): void {
    const what = this.#random.next() < 0.5 ? 'Shutdown' : 'Crashed';
    for (const { host } of this.#world.hosts) host.guest(uid, what);
  }
}
