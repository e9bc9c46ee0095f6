/** What live migration between two hosts must do, whatever the hypervisor: the imitation passes it in every test run, libvirt where there is one. */
import { randomUUID } from 'node:crypto';
import { expect, test, vi } from 'vitest';
import {
  type Domain,
  type DomainSpec,
  type Hypervisor,
  MachineError,
  type MoveSockets,
  type SendOptions,
} from './hypervisor.ts';

export interface MoveHost {
  /** Of the worker that lives now. */
  readonly hypervisor: Hypervisor;
  /** A spec for this uid whose files exist at this host, as they were if they did. */
  spec(uid: string, attempt: number): Promise<DomainSpec>;
  /** Makes the root disk stand on nothing, as one that was restored. The machine is off. */
  flatten(spec: DomainSpec): Promise<void>;
  /** Makes the root disk larger, of a machine that is off. */
  grow(spec: DomainSpec): Promise<void>;
  /** Bytes of the root disk as the guest sees it. */
  size(spec: DomainSpec): Promise<number>;
  /** The worker is killed, and another one starts. */
  restart(): Promise<void>;
}

export interface MovesUnderTest extends AsyncDisposable {
  readonly hosts: readonly [MoveHost, MoveHost];
  /** New ones, which both hosts reach. */
  sockets(): Promise<MoveSockets>;
  /** What tells this boot of a guest, which is up, from any other. */
  life(spec: DomainSpec): Promise<string>;
  /** Within this time a guest is up. */
  readonly guestMs: number;
}

export function describeMoves(open: () => Promise<MovesUnderTest>): void {
  const stays: SendOptions = { signal: new AbortController().signal, progress: () => undefined };

  async function runs(
    world: MovesUnderTest,
    host: MoveHost,
  ): Promise<{ readonly spec: DomainSpec; readonly life: string }> {
    const spec = await host.spec(randomUUID(), 1);
    await host.hypervisor.define(spec);
    await host.hypervisor.start(spec.uid);
    return { spec, life: await world.life(spec) };
  }

  /** Up to where the guest can be sent. */
  async function received(from: MoveHost, to: MoveHost, spec: DomainSpec, sockets: MoveSockets): Promise<string> {
    const described = await to.hypervisor.moves.describe(spec);
    const begun = await from.hypervisor.moves.begin(spec.uid, described);
    return await to.hypervisor.moves.receive(spec, begun, sockets);
  }

  /** Up to where the guest stands, and all of it is there. */
  async function sent(world: MovesUnderTest, from: MoveHost, to: MoveHost, spec: DomainSpec): Promise<string> {
    const sockets = await world.sockets();
    const text = await received(from, to, spec, sockets);
    return await from.hypervisor.moves.send(spec.uid, text, sockets, stays);
  }

  async function move(world: MovesUnderTest, from: MoveHost, to: MoveHost, spec: DomainSpec): Promise<void> {
    await to.hypervisor.moves.take(spec.uid, await sent(world, from, to, spec));
    await from.hypervisor.moves.end(spec.uid, true);
  }

  const look = async ({ hypervisor }: MoveHost, uid: string): Promise<Domain | undefined> => {
    const found = await hypervisor.get(uid);
    expect((await hypervisor.list()).ours.find((domain) => domain.uid === uid)).toEqual(found);
    return found;
  };

  test('a host says that it migrates', async () => {
    await using world = await open();
    expect(await world.hosts[0].hypervisor.facts()).toMatchObject({ migrates: true });
  });

  test('a guest moves and comes back in the same life; where it was nothing is left, where it is its attempt is the new one', async () => {
    await using world = await open();
    const [one, two] = world.hosts;
    const { spec, life } = await runs(world, one);
    const { uid } = spec;
    const there = await two.spec(uid, 2);
    await move(world, one, two, there);
    expect(await look(one, uid)).toBeUndefined();
    expect(await look(two, uid)).toEqual({ uid, attempt: 2, power: 'On' });
    expect(await world.life(there)).toBe(life);
    await move(world, two, one, await one.spec(uid, 3));
    expect(await look(two, uid)).toBeUndefined();
    expect(await look(one, uid)).toEqual({ uid, attempt: 3, power: 'On' });
    expect(await world.life(spec)).toBe(life);
    // It is defined, and not only there as long as it runs.
    await one.hypervisor.destroy(uid);
    await one.hypervisor.start(uid);
    expect(await look(one, uid)).toMatchObject({ attempt: 3, power: 'On' });
    expect(await world.life(spec)).not.toBe(life);
  });

  test('a guest that is paused is paused where it goes, and goes on there', async () => {
    await using world = await open();
    const [one, two] = world.hosts;
    const { spec, life } = await runs(world, one);
    const { uid } = spec;
    await one.hypervisor.suspend(uid);
    const there = await two.spec(uid, 2);
    await move(world, one, two, there);
    expect(await look(two, uid)).toEqual({ uid, attempt: 2, power: 'Paused', pausedReason: 'User' });
    await two.hypervisor.resume(uid);
    expect(await world.life(there)).toBe(life);
  });

  test('one that is paused and was sent in vain is paused still', async () => {
    await using world = await open();
    const [one, two] = world.hosts;
    const { spec } = await runs(world, one);
    const { uid } = spec;
    await one.hypervisor.suspend(uid);
    await sent(world, one, two, await two.spec(uid, 2));
    await two.hypervisor.moves.refuse(uid);
    await one.restart();
    expect(await look(one, uid)).toMatchObject({ power: 'Paused', sent: true });
    await expect(one.hypervisor.resume(uid)).rejects.toThrow(Error);
    await one.hypervisor.moves.end(uid, false);
    expect(await look(one, uid)).toEqual({ uid, attempt: 1, power: 'Paused', pausedReason: 'User' });
  });

  test('what is received is no running machine, is neither defined nor resumed nor ended as sent, and is gone once refused', async () => {
    await using world = await open();
    const [one, two] = world.hosts;
    const { spec, life } = await runs(world, one);
    const { uid } = spec;
    const there = await two.spec(uid, 2);
    await received(one, two, there, await world.sockets());
    expect(await look(two, uid)).toMatchObject({ uid, attempt: 2, power: 'Paused', receiving: true });
    expect(await look(one, uid)).toEqual({ uid, attempt: 1, power: 'On' });
    await expect(two.hypervisor.define(there)).rejects.toThrow(Error);
    await expect(two.hypervisor.resume(uid)).rejects.toThrow(Error);
    await expect(two.hypervisor.moves.end(uid, true)).rejects.toThrow(Error);
    await expect(two.hypervisor.screenshot(uid)).rejects.toThrow(MachineError);
    expect(await look(two, uid)).toMatchObject({ receiving: true });
    await two.hypervisor.moves.refuse(uid);
    await two.hypervisor.moves.refuse(uid);
    expect(await look(two, uid)).toBeUndefined();
    await one.hypervisor.moves.end(uid, false);
    expect(await look(one, uid)).toEqual({ uid, attempt: 1, power: 'On' });
    expect(await world.life(spec)).toBe(life);
  });

  test('a destination whose worker is killed while it receives has nothing, and takes nothing over', async () => {
    await using world = await open();
    const [one, two] = world.hosts;
    const { spec, life } = await runs(world, one);
    const { uid } = spec;
    const text = await sent(world, one, two, await two.spec(uid, 2));
    await two.restart();
    await vi.waitFor(async () => expect(await look(two, uid)).toBeUndefined(), 20_000);
    await expect(two.hypervisor.moves.take(uid, text)).rejects.toThrow(Error);
    expect(await look(two, uid)).toBeUndefined();
    await one.hypervisor.moves.end(uid, false);
    expect(await look(one, uid)).toEqual({ uid, attempt: 1, power: 'On' });
    expect(await world.life(spec)).toBe(life);
  });

  test('a source whose worker is killed before it sends has a guest that runs, and can be moved again', async () => {
    await using world = await open();
    const [one, two] = world.hosts;
    const { spec, life } = await runs(world, one);
    const { uid } = spec;
    const there = await two.spec(uid, 2);
    await received(one, two, there, await world.sockets());
    await one.restart();
    expect(await look(one, uid)).toEqual({ uid, attempt: 1, power: 'On' });
    await one.hypervisor.moves.end(uid, false);
    await two.hypervisor.moves.refuse(uid);
    await move(world, one, two, there);
    expect(await world.life(there)).toBe(life);
  });

  test('a source whose worker is killed when all was sent knows it; the guest stands, and goes on when nobody took it', async () => {
    await using world = await open();
    const [one, two] = world.hosts;
    const { spec, life } = await runs(world, one);
    const { uid } = spec;
    await sent(world, one, two, await two.spec(uid, 2));
    expect(await look(one, uid)).toMatchObject({ uid, attempt: 1, power: 'Paused', sent: true });
    await one.restart();
    expect(await look(one, uid)).toMatchObject({ uid, attempt: 1, power: 'Paused', sent: true });
    await expect(one.hypervisor.resume(uid)).rejects.toThrow(Error);
    await two.hypervisor.moves.refuse(uid);
    await one.hypervisor.moves.end(uid, false);
    await one.hypervisor.moves.end(uid, false);
    expect(await look(one, uid)).toEqual({ uid, attempt: 1, power: 'On' });
    expect(await world.life(spec)).toBe(life);
    await one.hypervisor.suspend(uid);
    expect(await look(one, uid)).toEqual({ uid, attempt: 1, power: 'Paused', pausedReason: 'User' });
    await one.hypervisor.resume(uid);
  });

  test('a source whose worker is killed when all was sent ends what was taken', async () => {
    await using world = await open();
    const [one, two] = world.hosts;
    const { spec, life } = await runs(world, one);
    const { uid } = spec;
    const there = await two.spec(uid, 2);
    const text = await sent(world, one, two, there);
    await one.restart();
    await two.hypervisor.moves.take(uid, text);
    await one.hypervisor.moves.end(uid, true);
    await one.hypervisor.moves.end(uid, true);
    expect(await look(one, uid)).toBeUndefined();
    expect(await world.life(there)).toBe(life);
  });

  test('what was taken over is not touched by taking it again, nor by a refusal, nor by the end of the worker that took it', async () => {
    await using world = await open();
    const [one, two] = world.hosts;
    const { spec, life } = await runs(world, one);
    const { uid } = spec;
    const there = await two.spec(uid, 2);
    const text = await sent(world, one, two, there);
    await two.hypervisor.moves.take(uid, text);
    await two.hypervisor.moves.take(uid, text);
    await two.hypervisor.moves.refuse(uid);
    await two.restart();
    await two.hypervisor.moves.refuse(uid);
    expect(await look(two, uid)).toEqual({ uid, attempt: 2, power: 'On' });
    expect(await world.life(there)).toBe(life);
    await one.hypervisor.moves.end(uid, true);
  });

  test('sending that is broken off leaves the guest where it runs, and it can be moved after that', async () => {
    await using world = await open();
    const [one, two] = world.hosts;
    const { spec, life } = await runs(world, one);
    const { uid } = spec;
    const there = await two.spec(uid, 2);
    const sockets = await world.sockets();
    const text = await received(one, two, there, sockets);
    const stop = new AbortController();
    const sending = one.hypervisor.moves.send(uid, text, sockets, {
      signal: stop.signal,
      progress: () => stop.abort(new Error('Enough')),
    });
    await expect(sending).rejects.toThrow('Enough');
    expect(await look(one, uid)).toEqual({ uid, attempt: 1, power: 'On' });
    await one.hypervisor.moves.end(uid, false);
    await two.hypervisor.moves.refuse(uid);
    const early = AbortSignal.abort(new Error('Already'));
    const again = await world.sockets();
    const next = await received(one, two, there, again);
    await expect(one.hypervisor.moves.send(uid, next, again, { ...stays, signal: early })).rejects.toThrow('Already');
    await one.hypervisor.moves.end(uid, false);
    await two.hypervisor.moves.refuse(uid);
    await move(world, one, two, there);
    expect(await world.life(there)).toBe(life);
  });

  test('what was sent is told by its bytes, and is no less the next time', async () => {
    await using world = await open();
    const [one, two] = world.hosts;
    const { spec } = await runs(world, one);
    const told: (readonly [number, number])[] = [];
    const sockets = await world.sockets();
    const text = await received(one, two, await two.spec(spec.uid, 2), sockets);
    const progress = (transferred: number, total: number) => void told.push([transferred, total]);
    await one.hypervisor.moves.send(spec.uid, text, sockets, { ...stays, progress });
    expect(told.length).toBeGreaterThan(0);
    for (const [index, [transferred, total]] of told.entries()) {
      expect(transferred).toBeGreaterThanOrEqual(told[index - 1]?.[0] ?? 0);
      expect(total).toBeGreaterThanOrEqual(transferred);
    }
    await two.hypervisor.moves.refuse(spec.uid);
    await one.hypervisor.moves.end(spec.uid, false);
  });

  test('a destination that is told nonsense takes nothing over, and has nothing then', async () => {
    await using world = await open();
    const [one, two] = world.hosts;
    const { spec } = await runs(world, one);
    const { uid } = spec;
    const there = await two.spec(uid, 2);
    const sockets = await world.sockets();
    const described = await two.hypervisor.moves.describe(there);
    for (const nonsense of ['', '{}', 'null', '[]', described, described.slice(1)]) {
      await expect(two.hypervisor.moves.receive(there, nonsense, sockets), nonsense).rejects.toThrow(Error);
      if (nonsense !== described)
        await expect(one.hypervisor.moves.begin(uid, nonsense), nonsense).rejects.toThrow(Error);
    }
    expect(await look(two, uid)).toBeUndefined();
    await received(one, two, there, sockets);
    await expect(two.hypervisor.moves.take(uid, '{"step":"send"}')).rejects.toThrow(Error);
    await vi.waitFor(async () => expect(await look(two, uid)).toBeUndefined(), 20_000);
    await one.hypervisor.moves.end(uid, false);
    expect(await look(one, uid)).toEqual({ uid, attempt: 1, power: 'On' });
  });

  test('a machine is not moved that is off, is made otherwise there, has volumes, or whose disk was restored', async () => {
    await using world = await open();
    const [one, two] = world.hosts;
    const spec = await one.spec(randomUUID(), 1);
    const { uid } = spec;
    const there = await two.spec(uid, 2);
    const described = await two.hypervisor.moves.describe(there);
    const begin = async (text = described) => await one.hypervisor.moves.begin(uid, text);
    await expect(begin()).rejects.toThrow(MachineError);
    await one.hypervisor.define(spec);
    await expect(begin()).rejects.toThrow('does not run');
    await one.hypervisor.start(uid);
    const larger = await two.hypervisor.moves.describe({ ...there, memoryMiB: there.memoryMiB + 32 });
    await expect(begin(larger)).rejects.toThrow('memoryMiB');
    await expect(begin(larger)).rejects.toThrow(MachineError);
    const other = await two.hypervisor.moves.describe(await two.spec(randomUUID(), 2));
    await expect(begin(other)).rejects.toThrow(Error);
    await one.hypervisor.destroy(uid);
    await one.flatten(spec);
    await one.hypervisor.define(spec);
    await one.hypervisor.start(uid);
    await expect(begin()).rejects.toThrow('restored from a snapshot');
    await expect(begin()).rejects.toThrow(MachineError);
    expect(await look(one, uid)).toEqual({ uid, attempt: 1, power: 'On' });
    expect(await look(two, uid)).toBeUndefined();
  });

  test('disks are made as large where the machine goes as they are, whatever they were there', async () => {
    await using world = await open();
    const [one, two] = world.hosts;
    const spec = await one.spec(randomUUID(), 1);
    const { uid } = spec;
    await one.grow(spec);
    const size = await one.size(spec);
    await one.hypervisor.define(spec);
    await one.hypervisor.start(uid);
    const life = await world.life(spec);
    const there = await two.spec(uid, 2);
    expect(await two.size(there)).toBeLessThan(size);
    await move(world, one, two, there);
    expect(await two.size(there)).toBe(size);
    const back = await one.spec(uid, 3);
    await one.grow(back);
    await move(world, two, one, back);
    expect(await one.size(back)).toBe(size);
    expect(await world.life(back)).toBe(life);
  });
}
