import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { mkdir, mkdtempDisposable, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test, vi } from 'vitest';
import { type Clock, systemClock } from '#lib/std/clock.ts';
import { silentLog } from '#lib/std/log.ts';
import { VirtualClock } from '#test/virtual-clock.ts';
import { consolePaths } from '../console/paths.ts';
import { type DomainSpec, MachineError, type SendOptions } from '../hypervisor.ts';
import { describeMoves, type MoveHost, type MovesUnderTest } from '../moves.suite.ts';
import type { SimDisk } from './copies.ts';
import { openSim, type Sim } from './hypervisor.ts';

const sockets = { memory: '/nowhere/memory', disks: '/nowhere/disks' };

interface SimHost extends MoveHost {
  readonly root: string;
  readonly sim: Sim;
}

async function openHost(parent: string, name: string, clock: Clock): Promise<SimHost> {
  const root = join(parent, name);
  await mkdir(root);
  const image = { path: join(root, 'image'), format: 'raw' } as const;
  await writeFile(image.path, '');
  const open = () => openSim({ root, bootMs: 20, moveMs: 200, agents: true, clock, log: silentLog });
  let sim = open();
  const change = async ({ rootDisk }: DomainSpec, how: (disk: SimDisk) => SimDisk) =>
    await writeFile(rootDisk, JSON.stringify(how(JSON.parse(await readFile(rootDisk, 'utf8')) as SimDisk)));
  return {
    root,
    get sim() {
      return sim;
    },
    get hypervisor() {
      return sim.hypervisor;
    },
    async spec(uid, attempt) {
      const disks = [{ name: 'data', bytes: 64 }];
      const seed = { label: 'cidata', files: {} };
      const made = await sim.devices.makeDisks({ uid, image, rootDiskBytes: 1024, disks, seed });
      const named = { uid, installation: 'i', namespace: 'n', name: 'm', attempt, cores: 1, memoryMiB: 64, nics: [] };
      return { ...named, ...made, ...consolePaths(root, uid) };
    },
    flatten: async (spec) => await change(spec, ({ virtualSize }) => ({ virtualSize })),
    grow: async (spec) => await change(spec, (disk) => ({ ...disk, virtualSize: disk.virtualSize + 1024 })),
    size: async ({ rootDisk }) => (JSON.parse(await readFile(rootDisk, 'utf8')) as SimDisk).virtualSize,
    async restart() {
      await sim.hypervisor[Symbol.asyncDispose]();
      sim = open();
    },
  };
}

async function openWorld(clock: Clock = systemClock) {
  const stack = new AsyncDisposableStack();
  const { path } = stack.use(await mkdtempDisposable(join(tmpdir(), 'cf-')));
  const hosts = [await openHost(path, 'one', clock), await openHost(path, 'two', clock)] as const;
  for (const host of hosts) stack.defer(async () => await host.hypervisor[Symbol.asyncDispose]());
  return {
    hosts,
    sockets: async () => sockets,
    guestMs: 5000,
    async life({ uid }) {
      const runs = async () => {
        const found = await Promise.all(hosts.map(async (host) => await host.hypervisor.get(uid)));
        return hosts.filter((_, index) => found[index]?.power === 'On');
      };
      const [host, ...others] = await vi.waitUntil(
        async () => ((await runs()).length > 0 ? await runs() : false),
        5000,
      );
      expect(others).toEqual([]);
      const kept = JSON.parse(readFileSync(join(host!.root, 'sim/domains', `${uid}.json`), 'utf8')) as object;
      return String((kept as { readonly boots?: number }).boots);
    },
    [Symbol.asyncDispose]: async () => await stack.disposeAsync(),
  } satisfies MovesUnderTest & { readonly hosts: readonly [SimHost, SimHost] };
}

describe('the contract of moves', () => describeMoves(openWorld));

async function running(host: SimHost): Promise<DomainSpec> {
  const spec = await host.spec(randomUUID(), 1);
  await host.hypervisor.define(spec);
  await host.hypervisor.start(spec.uid);
  return spec;
}

const quiet: SendOptions = { signal: new AbortController().signal, progress: () => undefined };

async function received(one: SimHost, two: SimHost, spec: DomainSpec): Promise<string> {
  const begun = await one.hypervisor.moves.begin(spec.uid, await two.hypervisor.moves.describe(spec));
  return await two.hypervisor.moves.receive(spec, begun, sockets);
}

test('sending takes its time by the clock, and the guest runs meanwhile', async () => {
  const clock = new VirtualClock();
  await using world = await openWorld(clock);
  const [one, two] = world.hosts;
  const { uid } = await running(one);
  const text = await received(one, two, await two.spec(uid, 2));
  let done = false;
  const sending = one.hypervisor.moves.send(uid, text, sockets, quiet).finally(() => (done = true));
  await clock.advance(199);
  expect([done, await one.hypervisor.get(uid)]).toMatchObject([false, { power: 'On' }]);
  await clock.advance(1);
  await sending;
  expect(await one.hypervisor.get(uid)).toMatchObject({ sent: true });
});

test('a guest that goes off while it is sent is not sent', async () => {
  const clock = new VirtualClock();
  await using world = await openWorld(clock);
  const [one, two] = world.hosts;
  const spec = await running(one);
  const { uid } = spec;
  const send = async (from: SimHost, text: string) => {
    const sending = from.hypervisor.moves.send(uid, text, sockets, quiet);
    const settled = Promise.allSettled([sending]);
    await clock.advance(200);
    return (await settled)[0];
  };
  const first = await received(one, two, await two.spec(uid, 2));
  await one.hypervisor.shutdown(uid);
  expect(await send(one, first)).toMatchObject({ status: 'rejected', reason: expect.any(MachineError) });
  expect(await one.hypervisor.get(uid)).toMatchObject({ power: 'Off', offReason: 'Shutdown' });
  await two.hypervisor.moves.refuse(uid);
  expect((await two.hypervisor.list()).ours).toEqual([]);
});

test('a process that was killed, and closed nothing, leaves nothing that is received', async () => {
  await using world = await openWorld();
  const [one, two] = world.hosts;
  const spec = await running(one);
  await received(one, two, await two.spec(spec.uid, 2));
  expect((await two.hypervisor.list()).ours).toMatchObject([{ receiving: true }]);
  await using next = openSim({
    root: two.root,
    bootMs: 20,
    agents: true,
    clock: systemClock,
    log: silentLog,
  }).hypervisor;
  expect((await next.list()).ours).toEqual([]);
  await next.moves.refuse(spec.uid);
});

test('what one guest was sent for is taken for no other', async () => {
  await using world = await openWorld();
  const [one, two] = world.hosts;
  const spec = await running(one);
  const { uid } = spec;
  const there = await two.spec(uid, 2);
  const old = await one.hypervisor.moves.send(uid, await received(one, two, there), sockets, quiet);
  await two.hypervisor.moves.refuse(uid);
  await one.hypervisor.moves.end(uid, false);
  await received(one, two, there);
  await expect(two.hypervisor.moves.take(uid, old)).rejects.toThrow('not for what is received here');
  expect(await two.hypervisor.get(uid)).toBeUndefined();
});

test('a machine with volumes is not moved, nor one whose disk fails', async () => {
  await using world = await openWorld();
  const [one, two] = world.hosts;
  const plain = await one.spec(randomUUID(), 1);
  const { uid } = plain;
  await one.hypervisor.define({ ...plain, volumes: [{ name: 'd', type: 'Disk', path: '/d' }] });
  await one.hypervisor.start(uid);
  const described = await two.hypervisor.moves.describe(await two.spec(uid, 2));
  await expect(one.hypervisor.moves.begin(uid, described)).rejects.toThrow('it has volumes');
  await one.hypervisor.define(plain);
  one.sim.hypervisor.inject(uid, 'break');
  await expect(one.hypervisor.moves.begin(uid, described)).rejects.toThrow('because a disk of it fails');
});
