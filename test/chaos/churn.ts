/** What users, operators and guests do meanwhile: two tenants, every kind that they can write, made, changed and deleted. */
import { ComputeFactory, Host, Image, Subnet, VirtualMachine, VMOperation, VMPool } from '#lib/api/generated/index.ts';
import { apiVersionOf, type Kind, type KubeObject, keyOf } from '#lib/api/meta.ts';
import { kindId } from '#lib/client/kind-id.ts';
import type { Random } from '#lib/std/random.ts';
import type { Observer } from './observer.ts';
import { tenants, type World } from './world.ts';

/** Of 24 cores: with pools and factories there is room for every machine also while one host is away. */
const maxSingleCores = 6;
const maxReplicas = 2;
const maxFactoryCores = 2;
const maxExtra = 2;

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
    const acts = Object.values(this.#acts);
    await acts[this.#number(acts.length)]!();
  }

  /** Nobody wants anything off any more, no host is kept from work, and no machine needs what is being deleted, or was before it came. */
  async wantAll(): Promise<void> {
    for (const host of this.#all(Host)) await this.#patch(Host, host, { spec: { unschedulable: false, drain: null } });
    const isDoomed = this.#needsDeleted();
    for (const vm of this.#singles())
      if (isDoomed(vm)) await this.#delete(VirtualMachine, vm);
      else if (vm.spec.runPolicy !== 'Always') await this.#patch(VirtualMachine, vm, { spec: { runPolicy: 'Always' } });
  }

  /** Off, it keeps its image and subnets; what is being deleted lets no machine start. */
  #needsDeleted(): (vm: VirtualMachine) => boolean {
    const namesOf = (kind: Kind) => new Set(this.#all(kind).map(keyOf));
    const [images, subnets] = [namesOf(Image), namesOf(Subnet)];
    return ({ metadata: { namespace }, spec }) =>
      !images.has(`${namespace}/${spec.image.name}`) ||
      (spec.networks ?? []).some(({ subnet }) => !subnets.has(`${namespace}/${subnet}`));
  }

  /** What comes twice comes twice as often. */
  readonly #acts: Readonly<Record<string, () => Promise<void>>> = {
    create: () => this.#createMachine(),
    createAgain: () => this.#createMachine(),
    createOnceMore: () => this.#createMachine(),
    delete: () => this.#onAny(this.#all(VirtualMachine), (vm) => this.#delete(VirtualMachine, vm)),
    deleteAgain: () => this.#onAny(this.#singles(), (vm) => this.#delete(VirtualMachine, vm)),
    setPolicy: () => this.#onAny(this.#singles(), (vm) => this.#setPolicy(vm)),
    edit: () => this.#onAny(this.#singles(), (vm) => this.#edit(VirtualMachine, vm)),
    migrate: () => this.#onAny(this.#running(), (vm) => this.#migrate(vm)),
    migrateAgain: () => this.#onAny(this.#running(), (vm) => this.#migrate(vm)),
    migrateOnceMore: () => this.#onAny(this.#all(VirtualMachine), (vm) => this.#migrate(vm)),
    operate: () => this.#onAny(this.#all(VirtualMachine), (vm) => this.#operate(vm)),
    guest: () => this.#onAny(this.#all(VirtualMachine), async (vm) => this.#guest(vm)),
    pool: () => this.#makeOrChange(VMPool, () => this.#poolSpec()),
    poolDelete: () => this.#seldom(VMPool),
    factory: () => this.#makeOrChange(ComputeFactory, () => this.#factorySpec()),
    factoryDelete: () => this.#seldom(ComputeFactory),
    image: () => this.#extra(Image, { source: { file: { path: 'other.qcow2' } }, osType: 'Linux' }),
    imageDelete: () => this.#deleteExtra(Image),
    subnet: () => this.#extra(Subnet, { cidr: '10.67.0.0/24', releaseCooldown: '30s' }),
    subnetDelete: () => this.#deleteExtra(Subnet),
    host: () => this.#onAny(this.#all(Host), (host) => this.#tendHost(host)),
  };

  /** Those that nobody has asked to delete. */
  #all<T extends KubeObject>(kind: Kind<T>): readonly T[] {
    const objects = this.#world.api.store.list(kindId(kind)) as readonly KubeObject[] as readonly T[];
    return objects.filter(({ metadata }) => !metadata.deletionTimestamp);
  }

  #running(): readonly VirtualMachine[] {
    return this.#all(VirtualMachine).filter(({ status }) => status?.phase === 'Running');
  }

  #singles(): readonly VirtualMachine[] {
    return this.#all(VirtualMachine).filter(({ metadata }) => (metadata.ownerReferences ?? []).length === 0);
  }

  async #onAny<T>(list: readonly T[], act: (one: T) => Promise<void>): Promise<void> {
    const one = list[this.#number(list.length)];
    if (one !== undefined) await act(one);
  }

  async #createMachine(): Promise<void> {
    const cores = this.#singles().reduce((sum, { spec }) => sum + (spec.resources?.cores ?? 0), 0);
    if (cores > maxSingleCores - 2) return;
    const tenant = this.#tenant();
    await this.#create(VirtualMachine, tenant, `m${this.#created++}`, {
      ...this.#machineSpec(tenant),
      resources: { cores: 1 + this.#number(2), memory: '1Gi' },
    });
  }

  #machineSpec(tenant: string): object {
    const oneOf = <T extends KubeObject>(kind: Kind<T>, is: (object: T) => boolean, unless: string): string => {
      const own = this.#all(kind).filter((each) => each.metadata.namespace === tenant && is(each));
      return own[this.#number(own.length)]?.metadata.name ?? unless;
    };
    const image = { name: oneOf(Image, ({ status }) => status?.phase === 'Ready', 'debian') };
    const networks = [{ subnet: oneOf(Subnet, () => true, 'net') }];
    return { image, networks, runPolicy: 'Always', terminationGracePeriod: this.#grace(), ...this.#disconnect() };
  }

  /** Of what is never deleted: a pool goes on making machines of it. */
  #template(): object {
    const networks = [{ subnet: 'net' }];
    const common = { image: { name: 'debian' }, networks, runPolicy: 'Always' };
    return { ...common, terminationGracePeriod: this.#grace(), ...this.#disconnect() };
  }

  #poolSpec(): object {
    const template = { spec: { ...this.#template(), resources: { cores: 1, memory: '1Gi' } } };
    return { replicas: this.#number(maxReplicas + 1), template };
  }

  #factorySpec(): object {
    const capacity = { unit: 'Cores', target: this.#number(maxFactoryCores + 1) };
    const shapes = [
      { cores: 2, memory: '2Gi' },
      { cores: 1, memory: '1Gi' },
    ];
    return { capacity, shapes, template: { spec: this.#template() } };
  }

  async #makeOrChange<T extends KubeObject>(kind: Kind<T>, spec: () => object): Promise<void> {
    const tenant = this.#tenant();
    const own = this.#owned(kind).find(({ metadata }) => metadata.namespace === tenant);
    if (own) await this.#patch(kind, own, { spec: spec() });
    else await this.#create(kind, tenant, `${kind.plural}-${this.#created++}`, spec());
  }

  /** Of users' making; a factory makes pools. */
  #owned<T extends KubeObject>(kind: Kind<T>): readonly T[] {
    return this.#all(kind).filter(({ metadata }) => (metadata.ownerReferences ?? []).length === 0);
  }

  async #seldom<T extends KubeObject>(kind: Kind<T>): Promise<void> {
    if (this.#random.next() < 0.4) await this.#onAny(this.#owned(kind), (one) => this.#delete(kind, one));
  }

  async #extra<T extends KubeObject>(kind: Kind<T>, spec: object): Promise<void> {
    if (this.#extras(kind).length < maxExtra) await this.#create(kind, this.#tenant(), `x${this.#created++}`, spec);
  }

  async #deleteExtra<T extends KubeObject>(kind: Kind<T>): Promise<void> {
    await this.#onAny(this.#extras(kind), (one) => this.#delete(kind, one));
  }

  #extras<T extends KubeObject>(kind: Kind<T>): readonly T[] {
    return this.#all(kind).filter(({ metadata }) => metadata.name.startsWith('x'));
  }

  async #tendHost(host: Host): Promise<void> {
    const dice = this.#random.next();
    if (host.spec.unschedulable || host.spec.drain)
      await this.#patch(Host, host, { spec: { unschedulable: false, drain: null } });
    else if (dice < 0.5) await this.#patch(Host, host, { spec: { unschedulable: true } });
    else await this.#patch(Host, host, { spec: { drain: { reason: 'repair' } } });
  }

  async #setPolicy(vm: VirtualMachine): Promise<void> {
    this.#observer.mayCut.add(vm.metadata.uid);
    const others = ['Always', 'Halted', 'Manual'].filter((policy) => policy !== vm.spec.runPolicy);
    await this.#patch(VirtualMachine, vm, { spec: { runPolicy: others[this.#number(others.length)] } });
  }

  async #edit<T extends KubeObject>(kind: Kind<T>, object: T): Promise<void> {
    const labels = { 'tenant.example/mark': String(this.#number(1000)) };
    await this.#patch(kind, object, { metadata: { labels }, spec: { terminationGracePeriod: this.#grace() } });
  }

  async #operate({ metadata, spec }: VirtualMachine): Promise<void> {
    const types = { Always: ['Restart', 'Reset'], Manual: ['Start', 'Stop'] }[spec.runPolicy as 'Always'];
    if (!types) return;
    this.#observer.mayCut.add(metadata.uid);
    const type = types[this.#number(types.length)];
    await this.#create(VMOperation, metadata.namespace!, `op${this.#created++}`, { vm: metadata.name, type });
  }

  /** Some of those that run; those with nowhere to go stay. */
  async migrateSome(): Promise<void> {
    for (let left = 3; left > 0; left--) await this.#onAny(this.#running(), (vm) => this.#migrate(vm));
  }

  /** Nothing that it may cut. */
  async #migrate({ metadata }: VirtualMachine): Promise<void> {
    const timeout = this.#random.next() < 0.5 ? '30s' : '4m';
    const spec = { vm: metadata.name, type: 'Migrate', timeout };
    await this.#create(VMOperation, metadata.namespace!, `op${this.#created++}`, spec);
  }

  #guest({ metadata: { uid } }: VirtualMachine): void {
    const what = this.#random.next() < 0.5 ? 'Shutdown' : 'Crashed';
    for (const { host } of this.#world.hosts) host.guest(uid, what);
  }

  async #create<T extends KubeObject>(kind: Kind<T>, namespace: string, name: string, spec: object): Promise<void> {
    const draft = { apiVersion: apiVersionOf(kind), kind: kind.kind, metadata: { name, namespace }, spec };
    this.#observer.wished(kind, await this.#world.api.create(kind, draft as never));
  }

  async #patch<T extends KubeObject>(kind: Kind<T>, { metadata }: T, patch: object): Promise<void> {
    this.#observer.wished(kind, await this.#world.api.patch(kind, metadata, patch));
  }

  async #delete<T extends KubeObject>(kind: Kind<T>, object: T): Promise<void> {
    this.#observer.renounced(kind, keyOf(object));
    await this.#world.api.delete(kind, object.metadata);
  }

  #tenant(): string {
    return tenants[this.#number(tenants.length)]!;
  }

  /** Half of them are switched off by a host that has lost us, half of them are let go when they are deleted, and half leave drained hosts as they run. */
  #disconnect(): object {
    const fence = this.#random.next() < 0.5 ? { selfFenceAfter: '2m' } : {};
    const forget = this.#random.next() < 0.5 ? { forgetAfter: '4m' } : {};
    const leave = this.#random.next() < 0.5 ? { evictionStrategy: 'LiveMigrateIfPossible' } : {};
    return { ...leave, disconnect: { ...fence, ...forget } };
  }

  #grace(): string {
    return this.#random.next() < 0.5 ? '5s' : '30s';
  }

  #number(below: number): number {
    return Math.floor(this.#random.next() * below);
  }
}
