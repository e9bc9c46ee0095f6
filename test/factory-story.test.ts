/** Factory, pool and machine controllers together, with a cluster server of a few lines that places on hosts and says what is free. */
import { describe, expect, test } from 'vitest';
import { computeFactoryController } from '#controllers/computefactory/controller.ts';
import { virtualMachineController } from '#controllers/virtualmachine/controller.ts';
import { vmPoolController } from '#controllers/vmpool/controller.ts';
import { Cluster, ComputeFactory, Image, VirtualMachine, VMPool } from '#lib/api/generated/index.ts';
import { parseMiB } from '#lib/api/quantity.ts';
import { timestamp } from '#lib/std/clock.ts';
import { settles, survivesEveryFailure } from './proofs.ts';
import { story, type World } from './story.ts';

const apiVersion = 'computefactory.io/v1alpha1';
const namespace = 'default';
const at = { namespace, name: 'render' };

interface Lab {
  readonly world: World;
  /** Cores of each host by name. */
  readonly hosts: Map<string, number>;
}

const flexible = { flexible: { minCores: 4, maxCores: 48, stepCores: 4, memoryPerCore: '2Gi' } };

async function lab(hosts: readonly number[], spec: object = {}): Promise<Lab> {
  const world = story([computeFactoryController, vmPoolController, virtualMachineController]);
  const { api } = world;
  await api.create(Cluster, {
    apiVersion,
    kind: 'Cluster',
    metadata: { name: 'lab' },
    spec: { masters: ['http://127.0.0.1:5050'] } as never,
  });
  const image = await api.create(Image, {
    apiVersion,
    kind: 'Image',
    metadata: { namespace, name: 'blender' },
    spec: { source: { file: { path: 'blender.qcow2' } } },
  });
  const clusters = [{ name: 'lab', phase: 'Ready', digest: 'a'.repeat(64) }] as const;
  await api.updateStatus(Image, { ...image, status: { digest: 'a'.repeat(64), clusters } });
  await api.create(ComputeFactory, {
    apiVersion,
    kind: 'ComputeFactory',
    metadata: at,
    spec: {
      capacity: { target: 200 },
      shapes: [flexible],
      template: { spec: { image: { name: 'blender' } } },
      ...spec,
    } as never,
  });
  return { world, hosts: new Map(hosts.map((cores, index) => [`h${index}`, cores])) };
}

const machines = async ({ world }: Lab) => (await world.api.list(VirtualMachine)).items;

/** One look of the cluster server: closes what is deleted, places what fits, refuses what does not, says what is free. */
async function serve(made: Lab): Promise<void> {
  const { api, clock } = made.world;
  const lastTransitionTime = timestamp(clock.now());
  const condition = (type: string, status: 'True' | 'False', reason: string) => ({
    type,
    status,
    reason,
    message: '',
    lastTransitionTime,
  });
  const free = new Map(made.hosts);
  const all = await machines(made);
  for (const vm of all) {
    const { attempt, ...rest } = vm.status ?? {};
    if (!attempt) continue;
    if (vm.metadata.deletionTimestamp) await api.updateStatus(VirtualMachine, { ...vm, status: rest });
    else free.set(attempt.host!, free.get(attempt.host!)! - vm.spec.resources!.cores);
  }
  for (const vm of all.filter(
    ({ metadata, status }) => status?.phase === 'Scheduling' && !metadata.deletionTimestamp,
  )) {
    const fits = [...free].filter(([, cores]) => cores >= vm.spec.resources!.cores);
    const host = fits.toSorted((a, b) => a[1] - b[1])[0]?.[0];
    const others = (vm.status?.conditions ?? []).filter(({ type }) => type !== 'Ready' && type !== 'Scheduled');
    const refused = vm.status?.conditions?.some(({ type, status }) => type === 'Scheduled' && status === 'False');
    if (host) {
      free.set(host, free.get(host)! - vm.spec.resources!.cores);
      const conditions = [...others, condition('Ready', 'True', 'Running')];
      const attempt = { number: 1, cluster: 'lab', host };
      await api.updateStatus(VirtualMachine, {
        ...vm,
        status: { ...vm.status, phase: 'Running', attempt, conditions },
      });
    } else if (!refused) {
      const refusal = {
        ...condition('Scheduled', 'False', 'InsufficientCores'),
        message: `${free.size} hosts: ${free.size} short of cores`,
      };
      const conditions = [...(vm.status?.conditions ?? []), refusal];
      await api.updateStatus(VirtualMachine, { ...vm, status: { ...vm.status, conditions } });
    }
  }
  const cluster = await api.get(Cluster, { name: 'lab' });
  const rows = [...free.values()]
    .filter((cores) => cores > 0)
    .map((cores) => ({ cores, memoryMiB: cores * 4096, hosts: 1 }));
  await api.updateStatus(Cluster, {
    ...cluster,
    status: { free: rows, conditions: [condition('Ready', 'True', 'Ready')] },
  });
}

/** Until nothing moves any more; then two minutes more, in which nothing may. */
async function rest(made: Lab): Promise<void> {
  for (let look = 0; look < 8; look++) {
    await settles(made.world);
    await serve(made);
    await settles(made.world);
    await made.world.clock.advance(6_000);
  }
  await settles(made.world);
}

const sizes = async (made: Lab) =>
  (await machines(made))
    .map(({ spec, status }) => `${spec.resources!.cores}${status?.attempt ? '' : '?'}`)
    .toSorted((a, b) => Number.parseInt(b, 10) - Number.parseInt(a, 10) || a.length - b.length)
    .join(' ');
const factory = ({ world }: Lab) => world.api.get(ComputeFactory, at);
const scale = ({ world }: Lab, target: number) =>
  world.api.patch(ComputeFactory, at, { spec: { capacity: { target } } });

describe('a factory of 200 cores', () => {
  test('becomes 4 × 48 + 1 × 8 on large hosts, 10 × 20 on small ones, and is Ready', async () => {
    const large = await lab([48, 48, 48, 48, 48]);
    await serve(large);
    await rest(large);
    expect(await sizes(large)).toBe('48 48 48 48 8');
    const { status } = await factory(large);
    expect(status).toMatchObject({
      displayStatus: 'Ready',
      fulfilledPercent: 100,
      vms: 5,
      capacity: { text: '200 cores', planned: 200, provisioned: 200, ready: 200, committed: 200 },
      pools: [
        { name: 'render-lab-48c', shape: '48c', cores: 48, memory: '96Gi', replicas: 4, ready: 4 },
        { name: 'render-lab-8c', shape: '8c', replicas: 1 },
      ],
    });
    expect(status).not.toHaveProperty('unfulfilled');
    const small = await lab(Array.from({ length: 10 }, () => 20));
    await serve(small);
    await rest(small);
    expect(await sizes(small)).toBe(Array.from({ length: 10 }, () => '20').join(' '));
  });

  test('also when it was applied before any host was known', async () => {
    const made = await lab(Array.from({ length: 10 }, () => 20));
    await settles(made.world);
    expect(await sizes(made)).toBe('48? 48? 48? 48? 8?');
    await rest(made);
    expect((await factory(made)).status).toMatchObject({ displayStatus: 'Ready', capacity: { ready: 200 } });
  });

  test('whose template asks for a family stays on one image of it as it grows', async () => {
    const capacity = { target: 48 };
    const made = await lab([48, 48, 48], { capacity, template: { spec: { image: { family: 'blender' } } } });
    const { api, clock } = made.world;
    const images = async () => (await machines(made)).map(({ status }) => status?.image?.name ?? 'none');
    await serve(made);
    await rest(made);
    expect(await images()).toEqual(['none']);
    const blender = { namespace, name: 'blender' };
    await api.patch(Image, blender, { spec: { family: 'blender' } });
    await rest(made);
    expect(await images()).toEqual(['blender']);
    await clock.advance(1_000);
    const { apiVersion: _, metadata: _m, ...old } = await api.get(Image, blender);
    const newer = await api.create(Image, { apiVersion, ...old, metadata: { namespace, name: 'blender-5' } });
    await api.updateStatus(Image, { ...newer, status: { ...old.status, digest: 'b'.repeat(64) } });
    await scale(made, 96);
    await rest(made);
    expect([await sizes(made), await images()]).toEqual(['48 48', ['blender', 'blender']]);
    await api.patch(Image, blender, { spec: { deprecated: true } });
    await scale(made, 144);
    await rest(made);
    expect((await images()).toSorted()).toEqual(['blender', 'blender', 'blender-5']);
  });

  test('goes 200, 80, 200, 0 and leaves nothing behind', async () => {
    const made = await lab([48, 48, 48, 48, 48]);
    await serve(made);
    await rest(made);
    await scale(made, 80);
    await rest(made);
    expect(await sizes(made)).toBe('48 48');
    await scale(made, 200);
    await rest(made);
    expect((await factory(made)).status).toMatchObject({
      displayStatus: 'Ready',
      capacity: { ready: 200, committed: 200 },
    });
    await made.world.api.patch(ComputeFactory, at, { spec: { suspend: true } });
    await rest(made);
    expect(await sizes(made)).toBe('');
    expect((await made.world.api.list(VMPool)).items).toEqual([]);
    expect((await factory(made)).status).toMatchObject({ displayStatus: 'Suspended', capacity: { committed: 0 } });
  });
});

describe('a factory that is larger than its hosts', () => {
  test('runs what fits, names what is missing, and uses hosts that are added', async () => {
    const made = await lab(
      Array.from({ length: 20 }, () => 20),
      { capacity: { target: 1000 } },
    );
    await serve(made);
    await rest(made);
    const { status } = await factory(made);
    expect(status).toMatchObject({
      displayStatus: 'Unfulfilled',
      capacity: { planned: 1000, provisioned: 400, ready: 400 },
      unfulfilled: { units: 600, reason: 'InsufficientCapacity' },
    });
    expect(status?.unfulfilled?.message).toBe(
      '600 cores (13 VMs) unfulfilled: lab: 20 hosts: 20 short of cores. Next attempt on next offer.',
    );
    for (let index = 0; index < 30; index++) made.hosts.set(`added-${index}`, 20);
    await rest(made);
    await rest(made);
    expect((await factory(made)).status).toMatchObject({
      displayStatus: 'Ready',
      capacity: { ready: 1000, committed: 1000 },
    });
  });
});

test('a change of the template reaches the pools; ten applies of the same write nothing', async () => {
  const made = await lab([48], { capacity: { target: 48 } });
  await serve(made);
  await rest(made);
  await made.world.api.patch(ComputeFactory, at, { spec: { template: { spec: { priority: 7 } } } });
  await rest(made);
  const [pool] = (await made.world.api.list(VMPool)).items;
  expect(pool?.spec.template.spec.priority).toBe(7);
  expect(parseMiB(pool!.spec.template.spec.resources!.memory)).toBe(96 * 1024);
  const { writes } = made.world.calls;
  for (let apply = 0; apply < 10; apply++) {
    await made.world.api.patch(ComputeFactory, at, { spec: { template: { spec: { priority: 7 } } } });
    await rest(made);
  }
  expect(made.world.calls.writes).toBe(writes);
});

test('the three controllers survive the loss of every call', async () => {
  const labs = new WeakMap<World, Lab>();
  const makeWorld = async () => {
    const made = await lab([48, 20], { capacity: { target: 68 } });
    await serve(made);
    labs.set(made.world, made);
    return made.world;
  };
  const play = async (world: World) => {
    await rest(labs.get(world)!);
    expect(await sizes(labs.get(world)!)).toBe('48 20');
  };
  expect(await survivesEveryFailure(makeWorld, play)).toBeGreaterThan(12);
});

describe('a machine that is lost', () => {
  const shapes = [{ cores: 48, memory: '96Gi' }];
  async function lost(capacity: object): Promise<Lab> {
    const made = await lab([48, 48, 48, 48], { capacity, shapes });
    await serve(made);
    await rest(made);
    const { api, clock } = made.world;
    const vm = (await machines(made))[0]!;
    const silent = { type: 'Reachable', status: 'False', reason: 'ExecutorSilent', message: '' } as const;
    const conditions = [{ ...silent, lastTransitionTime: timestamp(clock.now()) }];
    await api.updateStatus(VirtualMachine, { ...vm, status: { ...vm.status, phase: 'Unreachable', conditions } });
    await clock.advance(5 * 60_000);
    await rest(made);
    return made;
  }

  test('is replaced, and counts as committed until it is proven gone', async () => {
    const made = await lost({ target: 96 });
    expect(await sizes(made)).toBe('48 48 48');
    expect((await factory(made)).status).toMatchObject({
      capacity: { planned: 96, provisioned: 96, ready: 96, unreachable: 48, committed: 144, draining: 0 },
      vms: 3,
      displayStatus: 'Ready',
    });
  });

  test('is not replaced beyond capacity.max', async () => {
    const made = await lost({ target: 96, max: 120 });
    expect(await sizes(made)).toBe('48 48');
    expect((await factory(made)).status).toMatchObject({ capacity: { ready: 48, committed: 96 } });
    await made.world.api.patch(ComputeFactory, at, { spec: { capacity: { max: 144 } } });
    await rest(made);
    expect(await sizes(made)).toBe('48 48 48');
  });
});
