/** Volumes on real Gluster: three servers in namespaces, each also a host that mounts. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { open, readFile, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { systemClock } from '#lib/std/clock.ts';
import { silentLog } from '#lib/std/log.ts';
import { lookAtMount } from './client.ts';
import { onHost, type VolumeSpec } from './layout.ts';
import { type Gluster, openGluster, whyNoGluster } from './testing/gluster.ts';
import { HostVolumes } from './volumes.ts';

const name = 'vm';
const mebibyte = 2 ** 20;
const slow = { timeout: 120_000 };
const patiently = { timeout: 60_000, interval: 500 };

let gluster: Gluster;

/** A host at the n-th server. What it has mounted is gone with it. */
function openHost(n: number, answerMs = 20_000) {
  const root = mkdtempSync(join(tmpdir(), 'cf-'));
  const netns = gluster.netns(n);
  const options = { root, netns, gluster: gluster.command, clock: systemClock, log: silentLog, answerMs };
  const volumes = new HostVolumes({ ...options, host: `host-${n}` });
  const place = { root, netns, gluster: { name, servers: gluster.servers } };
  return {
    ...{ root, netns, volumes, answerMs },
    point: onHost.point(root, name),
    mount: () => lookAtMount(place),
    health: async () => (await volumes.look()).find((report) => report.name === name),
    async [Symbol.asyncDispose]() {
      for (const uid of volumes.owners()) await volumes.detach(uid);
      expect(lookAtMount(place)).toEqual({ clients: [] });
      // The log of the client alone stays.
      rmSync(onHost.log(root, name), { force: true });
      expect(readdirSync(root, { recursive: true }).filter((each) => each !== 'volumes')).toEqual([]);
      rmSync(root, { recursive: true });
    },
  };
}

const shared = (changes: Partial<VolumeSpec> = {}): VolumeSpec => ({
  ...{ uid: randomUUID(), installation: 'i', gluster: { name, servers: gluster.servers } },
  ...{ type: 'SharedFilesystem', bytes: 10 * mebibyte },
  ...changes,
});
const token = (machine: string, attempt = 1) => ({ machine, attempt, bootId: 'b' });

/** Somebody with the mount's directory open. */
async function userOf(directory: string): Promise<ChildProcess> {
  const child = spawn('sleep', ['300'], { cwd: directory, stdio: 'ignore' });
  await once(child, 'spawn');
  return child;
}

async function end(child: ChildProcess): Promise<void> {
  const exit = once(child, 'exit');
  child.kill('SIGKILL');
  await exit;
}

describe.skipIf(whyNoGluster() !== undefined)('volumes of a host', slow, () => {
  beforeAll(async () => {
    gluster = await openGluster(3);
    await gluster.makeVolume(name, 1, 2, 3);
  }, 240_000);
  afterAll(async () => await gluster?.[Symbol.asyncDispose](), 60_000);

  test('hosts share a directory that ends at its quota', async () => {
    await using one = openHost(1);
    await using two = openHost(2);
    const volume = shared();
    await one.volumes.provision(volume);
    await one.volumes.provision(volume);
    expect(one.mount().entry).toBeUndefined();
    const [machine, other] = [randomUUID(), randomUUID()];
    const path = await one.volumes.attach({ machine, volume });
    expect(one.volumes.owners()).toEqual([machine]);
    await writeFile(join(path, 'hello'), 'from one');
    const there = await two.volumes.attach({ machine: other, volume });
    expect(await readFile(join(there, 'hello'), 'utf8')).toBe('from one');
    const filling = (async () => {
      await using file = await open(join(path, 'big'), 'w');
      for (let written = 0; written < 40; written++) {
        await file.write(Buffer.alloc(mebibyte));
        await file.sync();
      }
    })();
    // EDQUOT, for which Node has no name.
    await expect(filling).rejects.toMatchObject({ errno: -122 });
    expect((await stat(join(path, 'big'))).size).toBeLessThan(16 * mebibyte);
    await one.volumes.detach(machine);
    expect(one.mount()).toEqual({ clients: [] });
    expect(await readFile(join(there, 'hello'), 'utf8')).toBe('from one');
    await one.volumes.remove(volume);
    await expect(two.volumes.attach({ machine: other, volume })).rejects.toMatchObject({ reason: 'NotProvisioned' });
  });

  test('no machine gets a directory that is not on the volume', async () => {
    await using host = openHost(1);
    const [machine, volume] = [randomUUID(), shared()];
    await expect(host.volumes.attach({ machine, volume })).rejects.toMatchObject({ reason: 'NotProvisioned' });
    await host.volumes.provision(volume);
    const foreign = { ...volume, installation: 'another' };
    await expect(host.volumes.attach({ machine, volume: foreign })).rejects.toMatchObject({ reason: 'NotProvisioned' });
    // Unmounted behind our back, and written into.
    execFileSync('umount', [host.point]);
    const fake = join(host.point, 'cf', volume.uid, 'data');
    mkdirSync(fake, { recursive: true });
    await expect(host.volumes.attach({ machine, volume })).rejects.toMatchObject({ reason: 'MountPointNotEmpty' });
    expect(await host.health()).toMatchObject({ usable: false, reason: 'Unmounted', holders: [machine] });
    rmSync(join(host.point, 'cf'), { recursive: true });
    expect(await host.health()).toMatchObject({ usable: true, reason: 'Healthy' });
    // Another file system over it.
    execFileSync('mount', ['-t', 'tmpfs', 'tmpfs', host.point]);
    try {
      await expect(host.volumes.attach({ machine, volume })).rejects.toMatchObject({ reason: 'MountFailed' });
    } finally {
      execFileSync('umount', [host.point]);
    }
    expect(await host.volumes.attach({ machine, volume })).toBe(fake);
    await host.volumes.remove(volume);
  });

  test('a lost brick and a lost quorum are told apart from a dead mount, which is left alone', async () => {
    await using host = openHost(1);
    const [machine, volume] = [randomUUID(), shared({ type: 'Disk' })];
    await host.volumes.provision(volume);
    const attachment = { machine, volume, writer: { token: token(machine) } };
    await host.volumes.attach(attachment);
    const before = host.mount();
    expect(await host.health()).toMatchObject({ reason: 'Healthy', safe: true, bricks: { online: 3, total: 3 } });
    await gluster.killBrick(name, 2);
    await vi.waitFor(
      async () =>
        expect(await host.health()).toMatchObject({ reason: 'BrickDown', usable: true, bricks: { online: 2 } }),
      patiently,
    );
    await host.volumes.attach(attachment);
    await gluster.killBrick(name, 3);
    await vi.waitFor(
      async () => expect(await host.health()).toMatchObject({ reason: 'QuorumLost', usable: false }),
      patiently,
    );
    await expect(host.volumes.attach(attachment)).rejects.toMatchObject({ reason: 'QuorumLost' });
    await gluster.startBricks(name);
    await vi.waitFor(async () => expect(await host.health()).toMatchObject({ reason: 'Healthy' }), patiently);
    expect(host.mount()).toEqual(before);
    await host.volumes.attach(attachment);
    await host.volumes.detach(machine);
    await host.volumes.remove(volume);
  });

  test('a mount whose client was killed is made anew, once nobody has a file open in it', async () => {
    await using host = openHost(1);
    const [machine, volume] = [randomUUID(), shared()];
    await host.volumes.provision(volume);
    const path = await host.volumes.attach({ machine, volume });
    const before = host.mount();
    const user = await userOf(path);
    process.kill(before.clients[0]!.pid, 'SIGKILL');
    await vi.waitFor(() => expect(() => statSync(path)).toThrow('not connected'), patiently);
    expect(await host.health()).toMatchObject({ reason: 'Stale', usable: false });
    await expect(host.volumes.attach({ machine, volume })).rejects.toMatchObject({ reason: 'StaleInUse' });
    expect(host.mount().entry).toEqual(before.entry);
    await end(user);
    expect(await host.health()).toMatchObject({ reason: 'Healthy' });
    expect(host.mount().entry?.id).not.toBe(before.entry?.id);
    expect(await host.volumes.attach({ machine, volume })).toBe(path);
    statSync(path);
    await host.volumes.remove(volume);
  });

  test('a mount outlives the process and the control group that made it, and is taken over', async () => {
    await using host = openHost(1);
    const [machine, volume] = [randomUUID(), shared()];
    await host.volumes.provision(volume);
    const program = `
      const { HostVolumes } = await import(${JSON.stringify(join(import.meta.dirname, 'volumes.ts'))});
      const { systemClock } = await import(${JSON.stringify(join(import.meta.dirname, '../../lib/std/clock.ts'))});
      const [options, attachment] = JSON.parse(process.argv[1]);
      const log = { info() {}, warn(...words) { console.error(...words); } };
      console.log(await new HostVolumes({ ...options, clock: systemClock, log }).attach(attachment));
      setInterval(() => undefined, 1000);
    `;
    const options = { root: host.root, netns: host.netns, host: 'host-1', answerMs: host.answerMs };
    const group = existsSync('/sys/fs/cgroup/cpu/cgroup.procs') ? `/sys/fs/cgroup/cpu/cft-${randomUUID()}` : undefined;
    if (group) mkdirSync(group);
    const enter = ['-c', `${group ? `echo 0 >${group}/cgroup.procs;` : ''} exec "$@"`, 'sh'];
    const argument = JSON.stringify([options, { machine, volume }]);
    const maker = spawn('sh', [...enter, process.execPath, '--input-type=module', '-e', program, argument], {
      detached: true,
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const [path] = (await once(maker.stdout!, 'data')) as [Buffer];
    const [client] = host.mount().clients;
    if (group) expect(readFileSync(`${group}/cgroup.procs`, 'utf8').trim()).toBe(String(maker.pid));
    const exit = once(maker, 'exit');
    process.kill(-maker.pid!, 'SIGKILL');
    await exit;
    if (group) await vi.waitFor(() => execFileSync('rmdir', [group]), patiently);
    const before = host.mount();
    expect(before.clients).toEqual([client]);
    expect(await host.volumes.attach({ machine, volume })).toBe(path.toString().trim());
    expect(host.mount()).toEqual(before);
    await host.volumes.remove(volume);
  });

  test('a mount that does not answer holds nobody up, and goes when nobody wants it any more', async () => {
    await using host = openHost(1, 5_000);
    const [machine, volume] = [randomUUID(), shared()];
    await host.volumes.provision(volume);
    await host.volumes.attach({ machine, volume });
    const { pid } = host.mount().clients[0]!;
    process.kill(pid, 'SIGSTOP');
    try {
      expect(await host.health()).toMatchObject({ reason: 'Hung', usable: false });
      const begun = performance.now();
      await expect(host.volumes.attach({ machine, volume })).rejects.toMatchObject({ reason: 'Hung' });
      expect(performance.now() - begun).toBeLessThan(host.answerMs);
    } finally {
      process.kill(pid, 'SIGCONT');
    }
    await vi.waitFor(async () => expect(await host.health()).toMatchObject({ reason: 'Healthy' }), patiently);
    await host.volumes.remove(volume);
    process.kill(pid, 'SIGSTOP');
    await host.volumes.detach(machine);
    expect(host.mount()).toEqual({ clients: [] });
  });

  test('a disk has one writer, on whichever host, until that one is named as gone', async () => {
    await using one = openHost(1);
    await using two = openHost(2);
    const volume = shared({ type: 'Disk', bytes: 64 * mebibyte });
    await one.volumes.provision(volume);
    const [a, b, ...more] = Array.from({ length: 5 }, () => randomUUID()) as [string, string, ...string[]];
    const path = await one.volumes.attach({ machine: a, volume, writer: { token: token(a) } });
    const info = JSON.parse(execFileSync('qemu-img', ['info', '--output=json', path], { encoding: 'utf8' }));
    expect(info).toMatchObject({ format: 'qcow2', 'virtual-size': volume.bytes });
    await one.volumes.attach({ machine: a, volume, writer: { token: token(a) } });
    const take = async (machine: string, gone?: ReturnType<typeof token>) =>
      await two.volumes.attach({ machine, volume, writer: { token: token(machine), ...(gone ? { gone } : {}) } });
    await expect(take(b)).rejects.toMatchObject({ reason: 'WriterHeld' });
    await expect(take(b, token(a, 2))).rejects.toMatchObject({ reason: 'WriterHeld' });
    await take(b, token(a));
    // Who was replaced cannot come back, nor free what is another's.
    const back = one.volumes.attach({ machine: a, volume, writer: { token: token(a) } });
    await expect(back).rejects.toMatchObject({ reason: 'WriterHeld' });
    await one.volumes.detach(a);
    await expect(take(more[0]!)).rejects.toMatchObject({ reason: 'WriterHeld' });
    // A claim that was given up for being slow may be done all the same; said again it is answered.
    const winners = new Set<number>();
    const race = async (): Promise<void> => {
      const outcomes = await Promise.allSettled([
        take(more[0]!, token(b)),
        one.volumes.attach({ machine: more[1]!, volume, writer: { token: token(more[1]!), gone: token(b) } }),
      ]);
      for (const [index, { status }] of outcomes.entries()) if (status === 'fulfilled') winners.add(index);
    };
    await vi.waitFor(async () => {
      await race();
      expect([...winners]).toHaveLength(1);
    }, patiently);
    await race();
    expect([...winners]).toHaveLength(1);
    const [winner, host] = winners.has(0) ? [more[0]!, two] : [more[1]!, one];
    await expect(take(more[2]!)).rejects.toMatchObject({ reason: 'WriterHeld' });
    await host.volumes.detach(winner);
    await take(more[2]!);
    await two.volumes.detach(more[2]!);
    await one.volumes.remove(volume);
  });

  test('a disk is refused where one brick is all there is, unless that is wanted', async () => {
    await gluster.makeVolume('single', 1);
    await using host = openHost(1);
    const volume = shared({ type: 'Disk', gluster: { name: 'single', servers: gluster.servers } });
    await expect(host.volumes.provision(volume)).rejects.toMatchObject({ reason: 'UnsafeReplication' });
    await host.volumes.provision(volume, { allowUnsafe: true });
    await host.volumes.remove(volume);
    rmSync(onHost.log(host.root, 'single'));
  });

  test('a volume that no server has is said so, and leaves nothing', async () => {
    await using host = openHost(1);
    const volume = shared({ gluster: { name: 'nowhere', servers: gluster.servers } });
    await expect(host.volumes.attach({ machine: randomUUID(), volume })).rejects.toMatchObject({
      reason: 'MountFailed',
    });
    for (const uid of host.volumes.owners()) await host.volumes.detach(uid);
    rmSync(onHost.log(host.root, 'nowhere'));
    writeFileSync(join(host.root, 'volumes', '.keep'), '');
    expect(await host.volumes.look()).toEqual([]);
    rmSync(join(host.root, 'volumes', '.keep'));
  });
});
