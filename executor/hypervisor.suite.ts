/** What every hypervisor driver must do: the imitation passes it in every test run, libvirt where there is one. */
import { randomUUID } from 'node:crypto';
import { rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { expect, test, vi } from 'vitest';
import type { MachineDisk } from '#lib/api/launch.ts';
import { systemClock } from '#lib/std/clock.ts';
import { runCommand } from './agent/run-command.ts';
import { isPng } from './console/png.ts';
import { type Domain, type DomainEvent, type DomainSpec, type Hypervisor, MachineError } from './hypervisor.ts';
import { openRfb } from './testing/rfb.ts';

export interface HypervisorUnderTest extends AsyncDisposable {
  readonly hypervisor: Hypervisor;
  /** A spec for this uid whose files exist, as they were if they did, and whose guest obeys the power button. */
  spec(uid: string, disks?: readonly MachineDisk[]): Promise<DomainSpec>;
  /** Has the header of a data disk name `file`, as a guest could that has taken over its QEMU. */
  spoil(disk: string, file: string): Promise<void>;
  /** The same for a guest whose disk fails soon after it has started, until it is mended. */
  failing(uid: string): Promise<{ readonly spec: DomainSpec; mend(): Promise<void> }>;
  /** Another connection to the same host, as after a restart of the worker. */
  reopen(): Promise<Hypervisor>;
  /** Within this time a guest is up, or has turned itself off. */
  readonly guestMs: number;
}

export function describeHypervisor(open: () => Promise<HypervisorUnderTest>): void {
  const inTime = async (world: HypervisorUnderTest, check: () => Promise<void>): Promise<void> =>
    await vi.waitFor(check, { timeout: world.guestMs, interval: 50 });

  async function defined(world: HypervisorUnderTest): Promise<string> {
    const uid = randomUUID();
    await world.hypervisor.define(await world.spec(uid));
    return uid;
  }
  const powerOf = async (
    { hypervisor }: { hypervisor: Hypervisor },
    uid: string,
  ): Promise<Domain['power'] | undefined> => (await hypervisor.get(uid))?.power;

  test('facts name the hypervisor and the processor', async () => {
    await using world = await open();
    const facts = await world.hypervisor.facts();
    expect(facts.cpuModel).not.toBe('');
    expect(['libvirt', 'sim']).toContain(facts.hypervisor);
  });

  test('get of an unknown uid gives undefined', async () => {
    await using world = await open();
    expect(await world.hypervisor.get(randomUUID())).toBeUndefined();
  });

  test('define makes a domain that is off and listed with its attempt; again it changes nothing', async () => {
    await using world = await open();
    const uid = randomUUID();
    const spec = await world.spec(uid);
    await world.hypervisor.define(spec);
    await world.hypervisor.define(spec);
    const mine = (await world.hypervisor.list()).ours.filter((domain) => domain.uid === uid);
    expect(mine).toEqual([expect.objectContaining({ uid, attempt: spec.attempt, power: 'Off' })]);
    await world.hypervisor.undefine(uid);
  });

  test('start twice runs one domain; define of a running one does not disturb it', async () => {
    await using world = await open();
    const uid = await defined(world);
    await world.hypervisor.start(uid);
    await world.hypervisor.start(uid);
    await world.hypervisor.define(await world.spec(uid));
    expect(await powerOf(world, uid)).toBe('On');
  });

  test('destroy cuts the power and says so; undefine forgets; both do nothing the second time', async () => {
    await using world = await open();
    const uid = await defined(world);
    await world.hypervisor.start(uid);
    await world.hypervisor.destroy(uid);
    await world.hypervisor.destroy(uid);
    expect(await world.hypervisor.get(uid)).toMatchObject({ power: 'Off', offReason: 'Destroyed' });
    await world.hypervisor.undefine(uid);
    await world.hypervisor.undefine(uid);
    await world.hypervisor.destroy(uid);
    expect(await world.hypervisor.get(uid)).toBeUndefined();
  });

  test('suspend and resume show as Paused and On', async () => {
    await using world = await open();
    const uid = await defined(world);
    await world.hypervisor.start(uid);
    await world.hypervisor.suspend(uid);
    expect(await world.hypervisor.get(uid)).toMatchObject({ power: 'Paused', pausedReason: 'User' });
    await world.hypervisor.resume(uid);
    expect(await powerOf(world, uid)).toBe('On');
    expect(await world.hypervisor.get(uid)).not.toHaveProperty('pausedReason');
  });

  test('a disk that fails pauses the guest and says so, again after each resume until it is mended', async () => {
    await using world = await open();
    const { hypervisor } = world;
    const uid = randomUUID();
    const { spec, mend } = await world.failing(uid);
    const stopped = { power: 'Paused', pausedReason: 'IOError' } as const;
    let heard = 0;
    using _ = hypervisor.watch((event) => {
      if (event !== 'lost' && event.uid === uid && event.pausedReason === 'IOError') heard += 1;
    });
    await hypervisor.define(spec);
    await hypervisor.start(uid);
    await inTime(world, async () => expect(heard).toBe(1));
    expect(await hypervisor.get(uid)).toMatchObject({ uid, ...stopped });
    await hypervisor.suspend(uid);
    expect(await hypervisor.get(uid)).toMatchObject(stopped);
    await hypervisor.resume(uid);
    await inTime(world, async () => expect(heard).toBe(2));
    expect(await hypervisor.get(uid)).toMatchObject(stopped);
    await mend();
    await hypervisor.resume(uid);
    // It goes on to where it obeys, which it could not without its disk.
    await inTime(world, async () => {
      if ((await powerOf(world, uid)) === 'On') await hypervisor.shutdown(uid);
      expect(await hypervisor.get(uid)).toMatchObject({ power: 'Off', offReason: 'Shutdown' });
    });
    expect(heard).toBe(2);
  });

  test('a machine has data disks, limits and a weight, and has the same disks when it is started again', async () => {
    await using world = await open();
    const { hypervisor } = world;
    const uid = randomUUID();
    const disks = [
      { name: 'data', bytes: 2 ** 20, limits: { bytesPerSecond: 2 ** 20, requestsPerSecond: 50 } },
      { name: 'scratch-space-1', bytes: 2 ** 22 },
    ];
    const limited = { rootDiskLimits: { requestsPerSecond: 10_000 }, ioWeight: 300 };
    const spec = { ...(await world.spec(uid, disks)), ...limited };
    const inodes = async () =>
      await Promise.all((spec.dataDisks ?? []).map(async ({ path }) => (await stat(path)).ino));
    const before = await inodes();
    expect(before).toHaveLength(2);
    for (let starts = 0; starts < 2; starts += 1) {
      await hypervisor.define({ ...(await world.spec(uid, disks)), ...limited });
      await hypervisor.start(uid);
      expect(await powerOf(world, uid)).toBe('On');
      await hypervisor.destroy(uid);
    }
    expect(await inodes()).toEqual(before);
  });

  test('a data disk whose header names another file is not defined, neither at first nor again', async () => {
    await using world = await open();
    const { hypervisor } = world;
    const uid = randomUUID();
    const disks = [{ name: 'data', bytes: 2 ** 20 }];
    const spec = await world.spec(uid, disks);
    await hypervisor.define(spec);
    const [disk] = spec.dataDisks ?? [];
    await world.spoil(disk!.path, spec.rootDisk);
    await expect(hypervisor.define(spec)).rejects.toMatchObject({ name: 'TerminalError', reason: 'BadDisk' });
    await hypervisor.undefine(uid);
    await expect(hypervisor.define(spec)).rejects.toThrow('The data disk "data"');
    expect(await hypervisor.get(uid)).toBeUndefined();
  });

  test('reset leaves the domain on', async () => {
    await using world = await open();
    const uid = await defined(world);
    await world.hypervisor.start(uid);
    await world.hypervisor.reset(uid);
    expect(await powerOf(world, uid)).toBe('On');
  });

  test('shutdown makes the guest turn itself off, and an event says so', async () => {
    await using world = await open();
    const uid = await defined(world);
    const events: (DomainEvent | 'lost')[] = [];
    using _ = world.hypervisor.watch((event) => events.push(event));
    await world.hypervisor.start(uid);
    await inTime(world, async () => {
      // Guests ignore the button while they boot, so it is pressed until it works.
      if ((await powerOf(world, uid)) === 'On') await world.hypervisor.shutdown(uid);
      expect(await world.hypervisor.get(uid)).toMatchObject({ power: 'Off', offReason: 'Shutdown' });
    });
    await inTime(world, async () =>
      expect(events).toContainEqual(expect.objectContaining({ uid, power: 'Off', offReason: 'Shutdown' })),
    );
  });

  test('a domain goes on without its worker and is found by the next one', async () => {
    await using world = await open();
    const uid = await defined(world);
    await world.hypervisor.start(uid);
    await using second = await world.reopen();
    expect(await second.get(uid)).toMatchObject({ uid, power: 'On' });
  });

  test('a machine that runs has a screen: pictures of it, and any number of viewers; one that is off has none', async () => {
    await using world = await open();
    const { hypervisor } = world;
    const uid = await defined(world);
    await expect(hypervisor.screenshot(uid)).rejects.toThrow(MachineError);
    await expect(hypervisor.openScreen(uid)).rejects.toThrow(MachineError);
    await hypervisor.start(uid);
    await using other = await openRfb(await hypervisor.openScreen(uid));
    // A machine that boots changes the size of its screen.
    await inTime(world, async () => {
      await using viewer = await openRfb(await hypervisor.openScreen(uid));
      const picture = await hypervisor.screenshot(uid);
      expect(isPng(picture)).toBe(true);
      expect([viewer.width, viewer.height]).toEqual([picture.readUInt32BE(16), picture.readUInt32BE(20)]);
    });
    other.ask();
    const { width, height, pixels } = await other.update();
    expect(pixels).toHaveLength(width * height * 4);
    await hypervisor.destroy(uid);
    await expect(hypervisor.screenshot(uid)).rejects.toThrow(MachineError);
    await expect(hypervisor.openScreen(uid)).rejects.toThrow(MachineError);
  });

  test('the agent of a guest answers when it is up, refuses what it does not know, and is gone with the machine', async () => {
    await using world = await open();
    const { hypervisor } = world;
    const uid = await defined(world);
    const ask = async (execute: string, args = {}) => await hypervisor.agent(uid, { execute, arguments: args }, 5_000);
    await expect(ask('guest-ping')).rejects.toThrow(MachineError);
    await hypervisor.start(uid);
    await inTime(world, async () => expect(await ask('guest-ping')).toEqual({}));
    expect(await ask('guest-info')).toMatchObject({ version: expect.stringMatching(/^\d/) });
    await expect(ask('guest-nothing')).rejects.toThrow('The guest agent refuses');
    const { signal } = new AbortController();
    const run = async (...command: string[]) =>
      await runCommand({ hypervisor, clock: systemClock, signal }, uid, { command, timeoutSeconds: 20 });
    const echoed = await run('echo', 'a  b', '$(id)');
    expect(echoed).toMatchObject({ exitCode: 0, stderr: '', truncated: false });
    expect(Buffer.from(echoed.stdout, 'base64').toString()).toBe('a  b $(id)\n');
    expect(await run('false')).toMatchObject({ exitCode: 1 });
    expect(await run('there-is-no-such-program')).toMatchObject({ exitCode: 127 });
    await hypervisor.destroy(uid);
    await expect(ask('guest-ping')).rejects.toThrow(MachineError);
  });

  test('the disk of a machine that runs, or is paused, is copied while it goes on; one that is off has nobody to do it', async () => {
    await using world = await open();
    const { hypervisor } = world;
    const uid = randomUUID();
    const spec = await world.spec(uid);
    const file = join(dirname(spec.rootDisk), 'snapshot.qcow2');
    await hypervisor.define(spec);
    await expect(hypervisor.copyDisk(uid, file)).rejects.toThrow(MachineError);
    await hypervisor.start(uid);
    for (const power of ['On', 'Paused'] as const) {
      if (power === 'Paused') await hypervisor.suspend(uid);
      await hypervisor.copyDisk(uid, file);
      await inTime(world, async () => expect(await hypervisor.copyState(uid)).toBe('Copied'));
      expect((await stat(file)).size).toBeGreaterThan(0);
      expect(await powerOf(world, uid)).toBe(power);
      await rm(file);
    }
    await hypervisor.stopCopy(uid);
    await hypervisor.destroy(uid);
    await hypervisor.stopCopy(uid);
    expect(await hypervisor.copyState(uid)).toBe('Failed');
    expect(await hypervisor.copyState(randomUUID())).toBe('Failed');
  });

  test('starting an unknown uid is an error', async () => {
    await using world = await open();
    await expect(world.hypervisor.start(randomUUID())).rejects.toThrow();
  });
}
