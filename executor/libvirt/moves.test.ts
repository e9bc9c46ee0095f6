/** Live migration of real guests between two pretended hosts, whose QEMUs reach each other by unix sockets that both see. */
import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { mkdirSync } from 'node:fs';
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { openRealHost, type RealHost, whyNoRealHost } from '#test/real-host.ts';
import { consolePaths } from '../console/paths.ts';
import { type DomainSpec, type Hypervisor, MachineError, type MoveSockets, type SendOptions } from '../hypervisor.ts';
import { checkOverlay, headAt } from '../images/qcow2-header.ts';
import { describeMoves, type MoveHost, type MovesUnderTest } from '../moves.suite.ts';
import { shell } from '../testing/guest-shell.ts';
import { libvirtDevices } from './devices.ts';
import { libvirtHypervisor } from './driver.ts';

const run = promisify(execFile);
const mib = 2 ** 20;
const bootMs = 60_000;

describe.skipIf(whyNoRealHost() !== undefined)('moves of real guests', { timeout: 200_000 }, () => {
  let hosts: readonly [RealHost, RealHost];
  let directory: string;
  let ways = 0;
  beforeAll(async () => {
    hosts = [await openRealHost(), await openRealHost()];
    directory = await mkdtemp(join(tmpdir(), 'cf-'));
    await chmod(directory, 0o755);
  }, 180_000);
  afterAll(async () => {
    for (const host of hosts ?? []) await host[Symbol.asyncDispose]();
    if (directory) await rm(directory, { recursive: true, force: true });
  });

  function openHost(host: RealHost): MoveHost & AsyncDisposable {
    const devices = libvirtDevices({ root: host.root, netns: host.netns });
    const open = () => libvirtHypervisor({ socket: host.socket, installation: 'i' });
    let hypervisor: Hypervisor = open();
    return {
      get hypervisor() {
        return hypervisor;
      },
      async spec(uid, attempt): Promise<DomainSpec> {
        const image = { path: host.image, format: 'qcow2' } as const;
        const seed = { label: 'cidata', files: { 'meta-data': `instance-id: ${uid}\n`, 'user-data': '' } };
        const disks = [{ name: 'data', bytes: 16 * mib }];
        const made = await devices.makeDisks({ uid, image, rootDiskBytes: 64 * mib, disks, seed });
        const named = { uid, installation: 'i', namespace: 'n', name: 'm', attempt, cores: 1, memoryMiB: 96, nics: [] };
        return { ...named, ...made, ...consolePaths(host.root, uid) };
      },
      async flatten({ rootDisk }) {
        await run('qemu-img', ['convert', '-O', 'qcow2', rootDisk, `${rootDisk}.flat`]);
        await run('mv', [`${rootDisk}.flat`, rootDisk]);
      },
      grow: async ({ rootDisk }) => void (await run('qemu-img', ['resize', '-q', rootDisk, '+8M'])),
      size: async ({ rootDisk }) => checkOverlay(await headAt(rootDisk)),
      async restart() {
        await hypervisor[Symbol.asyncDispose]();
        hypervisor = open();
      },
      async [Symbol.asyncDispose]() {
        for (const { uid } of (await hypervisor.list()).ours) {
          await hypervisor.destroy(uid);
          await hypervisor.undefine(uid);
        }
        for (const uid of await devices.owners()) await devices.removeDisks(uid);
        await hypervisor[Symbol.asyncDispose]();
      },
    };
  }

  async function kill(host: RealHost, program: string): Promise<void> {
    for (const { pid, name } of await host.processes()) if (name === program) process.kill(pid, 'SIGKILL');
  }

  /** Which boot of the guest it is that answers, by its console. */
  async function life(spec: DomainSpec): Promise<string> {
    return await vi.waitFor(
      async () => {
        const said = await shell(spec, 'cat /proc/sys/kernel/random/boot_id', 3_000);
        return /[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/.exec(said)![0];
      },
      { timeout: bootMs, interval: 200 },
    );
  }

  async function openWorld(): Promise<MovesUnderTest> {
    const stack = new AsyncDisposableStack();
    const [one, two] = [stack.use(openHost(hosts[0])), stack.use(openHost(hosts[1]))];
    return {
      hosts: [one, two],
      async sockets() {
        ways += 1;
        return { memory: join(directory, `${ways}`, 'memory'), disks: join(directory, `${ways}`, 'disks') };
      },
      life,
      guestMs: bootMs,
      [Symbol.asyncDispose]: async () => await stack.disposeAsync(),
    };
  }

  describeMoves(openWorld);

  describe('through a pipe that can be held', () => {
    const quiet: SendOptions = { signal: new AbortController().signal, progress: () => undefined };

    /** The destination's sockets, and others that lead there as long as they are not held. */
    async function openPipe(world: MovesUnderTest) {
      const [near, far] = [await world.sockets(), await world.sockets()];
      const held = new Set<string>();
      const open = new Set<Socket>();
      const reached = new Map<string, PromiseWithResolvers<void>>();
      const servers = (['memory', 'disks'] as const).map((name) => {
        const server = createServer({ allowHalfOpen: true }, (from) => {
          const to = connect({ path: far[name], allowHalfOpen: true });
          for (const [a, b] of [
            [from, to],
            [to, from],
          ] as const) {
            open.add(a);
            a.on('data', (chunk) => b.write(chunk));
            a.on('end', () => b.end());
            a.on('error', () => b.destroy());
            a.on('close', () => b.destroy());
          }
          if (!held.has(name)) return;
          from.pause();
          reached.get(name)?.resolve();
        });
        return { name, server };
      });
      mkdirSync(dirname(near.memory), { recursive: true });
      for (const { name, server } of servers) {
        server.listen(near[name]);
        await once(server, 'listening');
      }
      return {
        near,
        far,
        hold(name: 'memory' | 'disks') {
          held.add(name);
          reached.set(name, Promise.withResolvers());
        },
        /** Something waits there. */
        reached: async (name: 'memory' | 'disks') => await reached.get(name)!.promise,
        let() {
          held.clear();
          for (const socket of open) socket.resume();
        },
        [Symbol.dispose]() {
          for (const socket of open) socket.destroy();
          for (const { server } of servers) server.close();
        },
      };
    }

    async function begun(world: MovesUnderTest, pipe: { near: MoveSockets; far: MoveSockets }) {
      const [one, two] = world.hosts;
      const spec = await one.spec(randomUUID(), 1);
      const { uid } = spec;
      await one.hypervisor.define(spec);
      await one.hypervisor.start(uid);
      const life = await world.life(spec);
      const there = await two.spec(uid, 2);
      const { moves } = two.hypervisor;
      const text = await moves.receive(
        there,
        await one.hypervisor.moves.begin(uid, await moves.describe(there)),
        pipe.far,
      );
      return { uid, spec, there, life, text };
    }

    const killed = 'a source whose worker is killed while it sends has a guest that runs';
    for (const held of ['memory', 'disks'] as const) {
      test(`${killed}: held at ${held}, it goes on when that is ended`, async () => {
        await using world = await openWorld();
        const [one, two] = world.hosts;
        using pipe = await openPipe(world);
        const { uid, spec, life, text } = await begun(world, pipe);
        pipe.hold(held);
        const failed = expect(one.hypervisor.moves.send(uid, text, pipe.near, quiet)).rejects.toThrow('closed');
        await pipe.reached(held);
        await one.restart();
        await failed;
        expect(await one.hypervisor.get(uid)).toEqual({ uid, attempt: 1, power: 'On' });
        await one.hypervisor.moves.end(uid, false);
        expect(await world.life(spec)).toBe(life);
        await two.hypervisor.moves.refuse(uid);
        await one.hypervisor.suspend(uid);
        expect(await one.hypervisor.get(uid)).toMatchObject({ power: 'Paused', pausedReason: 'User' });
      });
    }

    test(`${killed}: libvirt sends all of it nevertheless, and it goes on when that is ended`, async () => {
      await using world = await openWorld();
      const [one, two] = world.hosts;
      using pipe = await openPipe(world);
      const { uid, spec, life, text } = await begun(world, pipe);
      pipe.hold('memory');
      const failed = expect(one.hypervisor.moves.send(uid, text, pipe.near, quiet)).rejects.toThrow('closed');
      await pipe.reached('memory');
      await one.restart();
      await failed;
      pipe.let();
      await vi.waitFor(async () => expect(await one.hypervisor.get(uid)).toMatchObject({ sent: true }), 20_000);
      await two.hypervisor.moves.refuse(uid);
      await one.hypervisor.moves.end(uid, false);
      expect(await one.hypervisor.get(uid)).toEqual({ uid, attempt: 1, power: 'On' });
      expect(await world.life(spec)).toBe(life);
      await one.hypervisor.suspend(uid);
      await one.hypervisor.resume(uid);
    });

    test('a destination whose worker, or whose QEMU, is killed while the guest is sent: it goes on where it was', async () => {
      await using world = await openWorld();
      const [one, two] = world.hosts;
      using pipe = await openPipe(world);
      const { uid, spec, there, life, text } = await begun(world, pipe);
      pipe.hold('memory');
      const failed = expect(one.hypervisor.moves.send(uid, text, pipe.near, quiet)).rejects.toThrow(Error);
      await pipe.reached('memory');
      await two.restart();
      await vi.waitFor(async () => expect(await two.hypervisor.get(uid)).toBeUndefined(), 20_000);
      pipe.let();
      await failed;
      expect(await one.hypervisor.get(uid)).toEqual({ uid, attempt: 1, power: 'On' });
      using again = await openPipe(world);
      const { moves } = two.hypervisor;
      const described = await moves.describe(there);
      const next = await moves.receive(there, await one.hypervisor.moves.begin(uid, described), again.far);
      again.hold('memory');
      const failedAgain = expect(one.hypervisor.moves.send(uid, next, again.near, quiet)).rejects.toThrow(Error);
      await again.reached('memory');
      await kill(hosts[1], 'qemu-system-x86');
      await vi.waitFor(async () => expect(await two.hypervisor.get(uid)).toBeUndefined(), 20_000);
      again.let();
      await failedAgain;
      await expect(two.hypervisor.moves.take(uid, next)).rejects.toThrow('nothing of it is received');
      await one.hypervisor.moves.end(uid, false);
      expect(await one.hypervisor.get(uid)).toEqual({ uid, attempt: 1, power: 'On' });
      expect(await world.life(spec)).toBe(life);
    });

    test('libvirtd of the source is killed while the guest is sent, and again when all was: it runs, and it stands', async () => {
      await using world = await openWorld();
      const [one, two] = world.hosts;
      using pipe = await openPipe(world);
      const { uid, spec, there, life, text } = await begun(world, pipe);
      pipe.hold('memory');
      const failed = expect(one.hypervisor.moves.send(uid, text, pipe.near, quiet)).rejects.toThrow(Error);
      await pipe.reached('memory');
      await kill(hosts[0], 'libvirtd');
      await failed;
      pipe[Symbol.dispose]();
      await two.hypervisor.moves.refuse(uid);
      await one.hypervisor.moves.end(uid, false);
      expect(await one.hypervisor.get(uid)).toEqual({ uid, attempt: 1, power: 'On' });
      expect(await world.life(spec)).toBe(life);
      const sockets = await world.sockets();
      const { moves } = two.hypervisor;
      const begunAgain = await one.hypervisor.moves.begin(uid, await moves.describe(there));
      const sent = await one.hypervisor.moves.send(
        uid,
        await moves.receive(there, begunAgain, sockets),
        sockets,
        quiet,
      );
      await kill(hosts[0], 'libvirtd');
      // A call that is under way when the connection breaks fails.
      const stands = { power: 'Paused', sent: true };
      await vi.waitFor(async () => expect(await one.hypervisor.get(uid)).toMatchObject(stands), 20_000);
      await moves.take(uid, sent);
      await one.hypervisor.moves.end(uid, true);
      expect(await one.hypervisor.get(uid)).toBeUndefined();
      expect(await world.life(there)).toBe(life);
    });

    test('libvirtd of the destination is killed while the guest is taken over: it runs at one of both, as is said', async () => {
      await using world = await openWorld();
      const [one, two] = world.hosts;
      const sockets = await world.sockets();
      const { uid, spec, there, life, text } = await begun(world, { near: sockets, far: sockets });
      const sent = await one.hypervisor.moves.send(uid, text, sockets, quiet);
      const taking = two.hypervisor.moves.take(uid, sent);
      const outcome = Promise.allSettled([taking]);
      await setTimeout(30);
      await kill(hosts[1], 'libvirtd');
      const [{ status }] = await outcome;
      const taken = status === 'fulfilled';
      await vi.waitFor(async () => await two.hypervisor.facts(), 20_000);
      expect(await two.hypervisor.get(uid)).toEqual(taken ? { uid, attempt: 2, power: 'On' } : undefined);
      await one.hypervisor.moves.end(uid, taken);
      expect(await one.hypervisor.get(uid)).toEqual(taken ? undefined : { uid, attempt: 1, power: 'On' });
      expect(await world.life(taken ? there : spec)).toBe(life);
    });

    test('a guest that is held for long is broken off at once, and others are served meanwhile', async () => {
      await using world = await openWorld();
      const [one, two] = world.hosts;
      using pipe = await openPipe(world);
      const { uid, spec, life, text } = await begun(world, pipe);
      pipe.hold('memory');
      const stop = new AbortController();
      const sending = one.hypervisor.moves.send(uid, text, pipe.near, { ...quiet, signal: stop.signal });
      const failed = expect(sending).rejects.toThrow('Too long');
      await pipe.reached('memory');
      expect(await world.life(spec)).toBe(life);
      expect((await one.hypervisor.screenshot(uid)).length).toBeGreaterThan(0);
      stop.abort(new Error('Too long'));
      await failed;
      expect(await one.hypervisor.get(uid)).toEqual({ uid, attempt: 1, power: 'On' });
      await two.hypervisor.moves.refuse(uid);
      await one.hypervisor.moves.end(uid, false);
      expect(await world.life(spec)).toBe(life);
    });
  });

  test('what the guest has written is there, on all of its disks, also what it writes meanwhile; it knows how long it is up', async () => {
    await using world = await openWorld();
    const [one, two] = world.hosts;
    const spec = await one.spec(randomUUID(), 1);
    const { uid } = spec;
    await one.hypervisor.define(spec);
    await one.hypervisor.start(uid);
    const boot = await world.life(spec);
    await shell(spec, 'echo before > /data/before; echo raw | dd of=/dev/vdc conv=fsync; sync');
    // Numbered lines for as long as it runs, wherever that is.
    const writer = 'n=0; while [ ! -e /data/stop ]; do sleep 0.1; n=$((n+1)); echo $n >> /data/lines; sync; done';
    await shell(spec, `(${writer}) >/dev/null 2>&1 & true`);
    const uptime = async (where: DomainSpec) => Number(/(\d+)\.\d+ /.exec(await shell(where, 'cat /proc/uptime'))![1]);
    const before = await uptime(spec);
    const there = await two.spec(uid, 2);
    const sockets = await world.sockets();
    const { moves } = two.hypervisor;
    const text = await moves.receive(
      there,
      await one.hypervisor.moves.begin(uid, await moves.describe(there)),
      sockets,
    );
    const sent = await one.hypervisor.moves.send(uid, text, sockets, {
      signal: new AbortController().signal,
      progress: () => undefined,
    });
    await moves.take(uid, sent);
    await one.hypervisor.moves.end(uid, true);
    expect(await world.life(there)).toBe(boot);
    expect(await uptime(there)).toBeGreaterThanOrEqual(before);
    const said = await shell(there, 'cat /data/before; head -n 1 /dev/vdc');
    expect(said).toMatch(/before\s+raw/);
    const count = async () => Number(/COUNT (\d+) (\d+)/.exec(await shell(there, countLines))![1]);
    const countLines = 'echo "COUNT $(wc -l < /data/lines) $(tail -n 1 /data/lines)"';
    const first = await count();
    await vi.waitFor(async () => expect(await count()).toBeGreaterThan(first), 20_000);
    // No line is missing, none is there twice: it wrote on where it stopped.
    await shell(there, 'touch /data/stop; sleep 1; sync');
    const [, lines, last] = /COUNT (\d+) (\d+)/.exec(await shell(there, countLines))!;
    expect(lines).toBe(last);
    // What is on the disk itself is the same, seen by a boot that knows nothing of the old one.
    await two.hypervisor.destroy(uid);
    await two.hypervisor.start(uid);
    expect(await world.life(there)).not.toBe(boot);
    expect(await shell(there, 'cat /data/before; head -n 1 /dev/vdc')).toMatch(/before\s+raw/);
    expect(await shell(there, countLines)).toMatch(new RegExp(`COUNT ${lines} ${last}`));
  });

  test('a guest is reached by its interface where it goes, and no longer where it was', async () => {
    await using world = await openWorld();
    const [one, two] = world.hosts;
    const plain = await one.spec(randomUUID(), 1);
    const { uid } = plain;
    const network = {
      ...{ subnet: 's', subnetUID: 'u', vni: 4097, prefix: 24, gateway: '10.66.10.1', mtu: 1450 },
      ...{
        tried: true as const,
        dns: ['10.66.10.2'],
        domain: 'lab.example',
        leaseSeconds: 3600,
        ip: '10.66.10.9',
        mac: '52:54:00:00:00:09',
      },
    };
    const machine = { uid, hostname: 'm', networks: [network] };
    const devicesOf = (host: RealHost) => libvirtDevices({ root: host.root, netns: host.netns });
    const spec = { ...plain, nics: await devicesOf(hosts[0]).attachNetworks(machine) };
    const there = { ...(await two.spec(uid, 2)), nics: await devicesOf(hosts[1]).attachNetworks(machine) };
    const knock = async (host: RealHost) => await devicesOf(host).knock(network, 80, AbortSignal.timeout(3_000));
    await one.hypervisor.define(spec);
    await one.hypervisor.start(uid);
    await vi.waitFor(async () => await knock(hosts[0]), { timeout: bootMs, interval: 500 });
    const sockets = await world.sockets();
    const { moves } = two.hypervisor;
    const text = await moves.receive(
      there,
      await one.hypervisor.moves.begin(uid, await moves.describe(there)),
      sockets,
    );
    await expect(knock(hosts[1])).rejects.toThrow(MachineError);
    const quiet: SendOptions = { signal: new AbortController().signal, progress: () => undefined };
    await moves.take(uid, await one.hypervisor.moves.send(uid, text, sockets, quiet));
    await one.hypervisor.moves.end(uid, true);
    await vi.waitFor(async () => await knock(hosts[1]), { timeout: 20_000, interval: 500 });
    await expect(knock(hosts[0])).rejects.toThrow(MachineError);
    for (const [index, host] of hosts.entries()) {
      await world.hosts[index]!.hypervisor.destroy(uid);
      await devicesOf(host).detachNetworks(uid);
    }
  });

  test('nothing that was on a disk of the destination shows through', async () => {
    await using world = await openWorld();
    const [one, two] = world.hosts;
    const spec = await one.spec(randomUUID(), 1);
    const { uid } = spec;
    const there = await two.spec(uid, 2);
    await run('qemu-io', ['-f', 'qcow2', '-c', 'write -P 65 1M 64k', there.dataDisks![0]!.path]);
    await one.hypervisor.define(spec);
    await one.hypervisor.start(uid);
    await world.life(spec);
    const sockets = await world.sockets();
    const { moves } = two.hypervisor;
    const text = await moves.receive(
      there,
      await one.hypervisor.moves.begin(uid, await moves.describe(there)),
      sockets,
    );
    const quiet: SendOptions = { signal: new AbortController().signal, progress: () => undefined };
    await moves.take(uid, await one.hypervisor.moves.send(uid, text, sockets, quiet));
    await one.hypervisor.moves.end(uid, true);
    const bytes = await shell(there, 'dd if=/dev/vdc bs=64k skip=16 count=1 2>/dev/null | tr -d "\\0" | wc -c');
    expect(bytes).toMatch(/^0\s/m);
  });
});
