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
  readlinkSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { open, readFile, stat, statfs, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import type { MachineVolume } from '#lib/api/launch.ts';
import { systemClock } from '#lib/std/clock.ts';
import { silentLog } from '#lib/std/log.ts';
import { lookAtMount } from './client.ts';
import { healOf } from './heal.ts';
import { onHost, onVolume } from './layout.ts';
import { type Gluster, openGluster, whyNoGluster } from './testing/gluster.ts';
import { glusterVolumes } from './volumes.ts';

const name = 'vm';
const mebibyte = 2 ** 20;
const slow = { timeout: 120_000 };
const patiently = { timeout: 60_000, interval: 500 };

let gluster: Gluster;

/** A host at the n-th server. What it has mounted is gone with it. */
function openHost(n: number, answerMs = 20_000, hungMs = 90_000, command = gluster.command) {
  const root = mkdtempSync(join(tmpdir(), 'cf-'));
  const netns = gluster.netns(n);
  const options = { root, netns, servers: gluster.servers, command, answerMs, hungMs };
  const names = [name, 'single', 'split', 'small', 'nowhere'];
  const volumes = glusterVolumes({ ...options, names, host: `host-${n}`, clock: systemClock, log: silentLog });
  const place = { root, netns, gluster: { name, servers: gluster.servers } };
  return {
    ...{ root, netns, volumes, answerMs },
    point: onHost.point(root, name),
    mount: () => lookAtMount(place),
    health: async () => (await volumes.look()).find((report) => report.name === name),
    /** What the machine may use of the Volume. */
    async attach(machine: string, volume: MachineVolume, { attempt = 1, installation = 'i' } = {}) {
      const attached = await volumes.attach({ uid: machine, installation, attempt, volumes: [volume] });
      expect(attached).toEqual([{ name: volume.name, type: volume.type, path: expect.any(String) }]);
      return attached[0]!.path;
    },
    async [Symbol.asyncDispose]() {
      for (const uid of await volumes.owners()) await volumes.detach(uid);
      expect(lookAtMount(place)).toEqual({ clients: [] });
      // The logs of clients alone stay.
      for (const each of names) rmSync(onHost.log(root, each), { force: true });
      expect(readdirSync(root, { recursive: true }).filter((each) => each !== 'volumes')).toEqual([]);
      rmSync(root, { recursive: true });
    },
  };
}

const shared = (changes: Partial<MachineVolume> = {}): MachineVolume => ({
  ...{ uid: randomUUID(), name: 'data', glusterVolume: name },
  ...{ type: 'SharedFilesystem', bytes: 10 * mebibyte },
  ...changes,
});
const disk = (changes: Partial<MachineVolume> = {}) =>
  shared({ type: 'Disk', bytes: 64 * mebibyte, grant: 1, ...changes });

/** Writes until the quota is reached. With the first quota of a Gluster volume its bricks may need a while to reach who counts (ENOTCONN). */
async function fill(path: string): Promise<void> {
  const filling = async () => {
    await using file = await open(path, 'w');
    for (let written = 0; written < 40; written++) {
      await file.write(Buffer.alloc(mebibyte));
      await file.sync();
    }
  };
  // EDQUOT, for which Node has no name.
  await vi.waitFor(async () => await expect(filling()).rejects.toMatchObject({ errno: -122 }), patiently);
}

const never = new AbortController().signal;

function readDisk(path: string, count: number, offset = 0): string {
  const args = ['-f', 'qcow2', '-r', '-c', `read -v ${offset} ${count}`, path];
  const output = execFileSync('qemu-io', args, { encoding: 'utf8' });
  const bytes = [...output.matchAll(/^[0-9a-f]{8}: {2}((?:[0-9a-f]{2} ?)+)/gm)].flatMap(([, hex]) =>
    hex!.trim().split(/\s+/),
  );
  return Buffer.from(bytes.join(''), 'hex').toString();
}

/** Processes that have open what is to be the Volume's disk. */
function copying(uid: string): readonly string[] {
  return readdirSync('/proc').filter((pid) => {
    try {
      const open = readdirSync(`/proc/${pid}/fd`).map((fd) => readlinkSync(`/proc/${pid}/fd/${fd}`));
      return open.some((path) => path.includes(`${onVolume.directory(uid)}/fill-`));
    } catch {
      return false; // no process, or gone meanwhile
    }
  });
}

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
    await one.volumes.make(volume, 'i');
    await one.volumes.make(volume, 'i');
    expect(one.mount().entry).toBeUndefined();
    const [machine, other] = [randomUUID(), randomUUID()];
    const path = await one.attach(machine, volume);
    expect(await one.volumes.owners()).toEqual([machine]);
    await writeFile(join(path, 'hello'), 'from one');
    const there = await two.attach(other, volume);
    expect(await readFile(join(there, 'hello'), 'utf8')).toBe('from one');
    // To see whether it can write each has a file of its own.
    const names = readdirSync(two.point).filter((each) => each.includes('host'));
    expect(names.toSorted()).toEqual(['.cf-host-host-1', '.cf-host-host-2']);
    await fill(join(path, 'big'));
    expect((await stat(join(path, 'big'))).size).toBeLessThan(16 * mebibyte);
    await one.volumes.detach(machine);
    expect(one.mount()).toEqual({ clients: [] });
    expect(await readFile(join(there, 'hello'), 'utf8')).toBe('from one');
    await one.volumes.remove(volume);
    await expect(two.attach(other, volume)).rejects.toMatchObject({ reason: 'NotProvisioned' });
  });

  test('a directory grows under those who use it, and an order that comes late makes it no smaller', async () => {
    await using one = openHost(1);
    await using two = openHost(2);
    const volume = shared();
    await one.volumes.make(volume, 'i');
    const path = await one.attach(randomUUID(), volume);
    // Full, as what is to grow is as a rule.
    await fill(join(path, 'full'));
    const larger = { ...volume, bytes: 30 * mebibyte };
    await two.volumes.make(larger, 'i');
    rmSync(join(path, 'full'));
    await writeFile(join(path, 'big'), Buffer.alloc(20 * mebibyte), { flush: true });
    await one.volumes.make(volume, 'i');
    // Launched before it grew, and after.
    for (const launched of [volume, larger]) {
      const there = await two.attach(randomUUID(), launched);
      const { blocks, bsize } = await statfs(there);
      expect(blocks * bsize).toBe(larger.bytes);
    }
    await one.volumes.remove(volume);
    const all = readdirSync(join(one.point, onVolume.all));
    expect(all.filter((name) => name.startsWith(volume.uid))).toEqual([]);
  });

  test('a disk is made with what an image has, or another disk, and as large as is wanted', async () => {
    await using one = openHost(1);
    await using two = openHost(2);
    const raw = join(one.root, 'image.raw');
    const text = 'on the image';
    writeFileSync(raw, Buffer.concat([Buffer.from(text), Buffer.alloc(32 * mebibyte - text.length)]));
    const volume = disk();
    const told: number[] = [];
    const watch = { told: (percent: number) => told.push(percent), signal: never };
    const from = { path: raw, format: 'raw' } as const;
    const outcomes = await Promise.all([one, two].map((host) => host.volumes.fill(volume, 'i', from, watch)));
    expect(outcomes).toEqual([64 * mebibyte, 64 * mebibyte]);
    expect(await one.volumes.fill(volume, 'i', { ...from, path: '/nowhere' }, watch)).toBe(64 * mebibyte);
    expect(one.mount()).toEqual({ clients: [] });
    const machine = randomUUID();
    const path = await one.attach(machine, volume);
    expect(readDisk(path, text.length)).toBe(text);
    expect(readdirSync(dirname(path)).toSorted()).toEqual(['disk.qcow2', 'volume.json', 'writers']);
    execFileSync('qemu-io', ['-f', 'qcow2', '-c', `write -P 0x2a ${40 * mebibyte} 4096`, path], { stdio: 'pipe' });
    // As the control plane gives it, when the machine is gone.
    await one.volumes.detach(machine);
    const copy = disk({ bytes: 80 * mebibyte, grant: 1 });
    const source = { uid: volume.uid, glusterVolume: name, grant: 2 };
    expect(await two.volumes.fill(copy, 'i', source, watch)).toBe(80 * mebibyte);
    await expect(one.attach(machine, volume)).rejects.toMatchObject({ reason: 'WriterHeld' });
    const copied = await two.attach(randomUUID(), copy);
    expect(readDisk(copied, text.length)).toBe(text);
    expect(readDisk(copied, 4, 40 * mebibyte)).toBe('****');
    await expect(two.volumes.fill(disk({ bytes: 32 * mebibyte }), 'i', { ...source, grant: 3 }, watch)).rejects.toThrow(
      /more than its own/,
    );
    for (const host of [one, two]) for (const uid of await host.volumes.owners()) await host.volumes.detach(uid);
    for (const each of [volume, copy]) await one.volumes.remove(each);
    rmSync(raw);
  });

  test('a disk is not copied while somebody writes to it, nor when a guest has written its header', async () => {
    await using host = openHost(1);
    const volume = disk();
    await host.volumes.make(volume, 'i');
    const path = await host.attach(randomUUID(), volume);
    const watch = { told: () => undefined, signal: never };
    const source = { uid: volume.uid, glusterVolume: name, grant: 2 };
    const qemuIo = spawn('qemu-io', [path], { stdio: ['pipe', 'pipe', 'inherit'] });
    try {
      qemuIo.stdin.write('write 0 4096\n');
      await once(qemuIo.stdout, 'data');
      await expect(host.volumes.fill(disk(), 'i', source, watch)).rejects.toThrow(/lock/);
    } finally {
      await end(qemuIo);
    }
    const secret = join(host.root, 'secret');
    writeFileSync(secret, Buffer.alloc(mebibyte, 'secret'));
    execFileSync('qemu-img', ['rebase', '-u', '-f', 'qcow2', '-F', 'raw', '-b', secret, path]);
    const stolen = disk();
    await expect(host.volumes.fill(stolen, 'i', { ...source, grant: 3 }, watch)).rejects.toMatchObject({
      reason: 'BadDisk',
    });
    await expect(host.attach(randomUUID(), stolen)).rejects.toMatchObject({ reason: 'NotProvisioned' });
    for (const uid of await host.volumes.owners()) await host.volumes.detach(uid);
    for (const each of [volume, stolen]) await host.volumes.remove(each);
    rmSync(secret);
  });

  test('copying that was killed begins anew and leaves nothing, and ends at once when it is told to', async () => {
    await using host = openHost(1);
    const image = join(host.root, 'image.raw');
    execFileSync('dd', ['if=/dev/urandom', `of=${image}`, 'bs=1M', 'count=200'], { stdio: 'ignore' });
    const volume = disk({ bytes: 256 * mebibyte });
    const from = { path: image, format: 'raw' } as const;
    const directory = join(host.point, onVolume.directory(volume.uid));
    const drafts = () => {
      try {
        return readdirSync(directory).filter((each) => each.startsWith('fill-'));
      } catch {
        return [];
      }
    };
    const begun = async (before: readonly string[] = []) =>
      await vi.waitFor(() => expect(drafts().filter((each) => !before.includes(each))).toHaveLength(1), {
        ...{ timeout: 20_000, interval: 5 },
      });
    const aborted = new AbortController();
    const first = host.volumes.fill(volume, 'i', from, { told: () => undefined, signal: aborted.signal });
    await begun();
    expect(await host.volumes.owners()).toEqual([]);
    const left = drafts();
    aborted.abort(new Error('to be removed'));
    await expect(first).rejects.toThrow('to be removed');
    const killed = host.volumes.fill(volume, 'i', from, { told: () => undefined, signal: never });
    await begun(left);
    const hands = execFileSync('pgrep', ['-f', 'volumes/hand/main.ts', '-P', String(process.pid)], {
      encoding: 'utf8',
    });
    for (const pid of hands.split('\n').filter(Boolean)) process.kill(Number(pid), 'SIGKILL');
    await expect(killed).rejects.toThrow(/killed/);
    expect(await host.volumes.fill(volume, 'i', from, { told: () => undefined, signal: never })).toBe(256 * mebibyte);
    const path = await host.attach(randomUUID(), volume);
    expect(drafts()).toEqual([]);
    execFileSync('qemu-img', ['compare', '-q', '-f', 'raw', '-F', 'qcow2', '-U', image, path]);
    for (const uid of await host.volumes.owners()) await host.volumes.detach(uid);
    await host.volumes.remove(volume);
    rmSync(image);
  });

  test('who copies ends when the executor was killed, and its next life begins anew', async () => {
    await using host = openHost(1);
    const image = join(host.root, 'image.raw');
    execFileSync('dd', ['if=/dev/urandom', `of=${image}`, 'bs=1M', 'count=600'], { stdio: 'ignore' });
    const volume = disk({ bytes: 600 * mebibyte });
    const program = `
      const { glusterVolumes } = await import(${JSON.stringify(join(import.meta.dirname, 'volumes.ts'))});
      const { systemClock } = await import(${JSON.stringify(join(import.meta.dirname, '../../lib/std/clock.ts'))});
      const [options, volume, image] = JSON.parse(process.argv[1]);
      const log = { info() {}, warn(...words) { console.error(...words); } };
      const watch = { told() {}, signal: new AbortController().signal };
      await glusterVolumes({ ...options, clock: systemClock, log }).fill(volume, 'i', { path: image, format: 'raw' }, watch);
    `;
    const { root, netns, answerMs } = host;
    const options = { root, netns, answerMs, host: 'host-1', names: [name], servers: gluster.servers };
    const argument = JSON.stringify([options, volume, image]);
    const executor = spawn(process.execPath, ['--input-type=module', '-e', program, argument], { stdio: 'inherit' });
    await vi.waitFor(() => expect(copying(volume.uid).length).toBeGreaterThan(1), { timeout: 30_000, interval: 20 });
    await end(executor);
    // All of them: whoever was left would finish it.
    await vi.waitFor(() => expect(copying(volume.uid)).toEqual([]), patiently);
    expect(existsSync(join(host.point, onVolume.disk(volume.uid)))).toBe(false);
    const watch = { told: () => undefined, signal: never };
    expect(await host.volumes.fill(volume, 'i', { path: image, format: 'raw' }, watch)).toBe(600 * mebibyte);
    const path = await host.attach(randomUUID(), volume);
    expect(readdirSync(dirname(path)).toSorted()).toEqual(['disk.qcow2', 'volume.json', 'writers']);
    for (const uid of await host.volumes.owners()) await host.volumes.detach(uid);
    await host.volumes.remove(volume);
    rmSync(image);
  });

  test('what belongs to no Volume is found, and removed if it is of this installation, also after a kill half-way', async () => {
    await using host = openHost(1);
    const installation = randomUUID();
    const [known, lost, gone, foreign, bare] = [disk(), shared(), disk(), disk(), disk()];
    for (const each of [known, lost, gone]) await host.volumes.make(each, installation);
    await host.volumes.make(foreign, 'another');
    const machine = randomUUID();
    const path = await host.attach(machine, lost, { installation });
    await writeFile(join(path, 'kept'), Buffer.alloc(2 * mebibyte), { flush: true });
    mkdirSync(join(path, 'deep', 'er'), { recursive: true });
    const { unmarked } = await host.volumes.strays(name, installation, []);
    mkdirSync(join(host.point, onVolume.directory(bare.uid)));
    mkdirSync(join(host.point, onVolume.all, 'not-a-uid'));
    const look = async () => await host.volumes.strays(name, installation, [known.uid.slice(0, 8)]);
    const found = await look();
    expect(found).toMatchObject({ count: 2, unmarked: unmarked + 1 });
    expect(found.strays.map(({ uid, type }) => [uid, type])).toEqual([
      [lost.uid, 'SharedFilesystem'],
      [gone.uid, 'Disk'],
    ]);
    expect(found.strays[0]!.bytes).toBeGreaterThan(2 * mebibyte - 1);
    expect(Math.abs(found.strays[0]!.madeMs - Date.now())).toBeLessThan(600_000);
    await host.volumes.detach(machine);
    for (const each of [foreign, bare])
      await expect(host.volumes.discard(each, installation)).rejects.toMatchObject({ reason: 'NotProvisioned' });
    const user = randomUUID();
    await host.attach(user, known, { installation });
    // As whoever was killed in the middle has left it.
    rmSync(join(host.point, onVolume.disk(gone.uid)));
    rmSync(join(host.point, onVolume.writers(gone.uid)), { recursive: true });
    for (const each of [lost, gone, gone]) await host.volumes.discard(each, installation);
    expect(await look()).toMatchObject({ count: 0, unmarked: unmarked + 1 });
    const left = readdirSync(join(host.point, onVolume.all));
    for (const { uid } of [lost, gone]) expect(left.filter((each) => each.startsWith(uid))).toEqual([]);
    for (const { uid } of [known, foreign, bare]) expect(left).toContain(uid);
    rmSync(join(host.point, onVolume.all, 'not-a-uid'), { recursive: true });
    await host.volumes.detach(user);
    for (const each of [known, foreign, bare]) await host.volumes.remove(each);
  });

  test('nobody writes through the path of a machine that may read alone, whatever it was left as', async () => {
    await using host = openHost(1);
    const volume = shared();
    await host.volumes.make(volume, 'i');
    const [writer, reader] = [randomUUID(), randomUUID()];
    const [path, read] = [await host.attach(writer, volume), await host.attach(reader, { ...volume, readOnly: true })];
    await writeFile(join(path, 'scene'), 'from the writer');
    expect(await readFile(join(read, 'scene'), 'utf8')).toBe('from the writer');
    const refused = { code: 'EROFS' };
    await expect(writeFile(join(read, 'other'), '')).rejects.toMatchObject(refused);
    await expect(open(join(read, 'scene'), 'r+')).rejects.toMatchObject(refused);
    // After a kill in between, or by somebody else's hand.
    const point = onHost.readOnly(host.root, name);
    execFileSync('mount', ['-o', 'remount,bind,rw', point]);
    await writeFile(join(read, 'other'), '');
    expect(await host.attach(reader, { ...volume, readOnly: true })).toBe(read);
    await expect(open(join(read, 'other'), 'r+')).rejects.toMatchObject(refused);
    execFileSync('mount', ['--bind', host.point, onHost.readOnlyDraft(host.root, name)]);
    const user = await userOf(read);
    for (const machine of [writer, reader]) await host.volumes.detach(machine);
    // Who has it open keeps it, and the mount that it is one of.
    expect(host.mount().entry).toBeDefined();
    await end(user);
    await host.volumes.look();
    expect(host.mount()).toEqual({ clients: [] });
    await host.volumes.remove(volume);
  });

  test('a disk that machines read is never given to a writer again', async () => {
    await using one = openHost(1);
    await using two = openHost(2);
    const volume = disk();
    await one.volumes.make(volume, 'i');
    const writer = randomUUID();
    await one.attach(writer, volume);
    await one.volumes.detach(writer);
    const { grant: _, ...read } = { ...volume, readOnly: true as const };
    for (const host of [one, two, one]) {
      const [attached] = await host.volumes.attach({
        uid: randomUUID(),
        installation: 'i',
        attempt: 1,
        volumes: [read],
      });
      expect(attached).toMatchObject({ type: 'Disk', readOnly: true });
    }
    for (const grant of [1, 2, 1000])
      await expect(two.attach(writer, { ...volume, grant })).rejects.toMatchObject({ reason: 'WriterHeld' });
    for (const host of [one, two]) for (const uid of await host.volumes.owners()) await host.volumes.detach(uid);
    await one.volumes.remove(volume);
  });

  test('a disk grows when it is started next, and at once if nobody ever had it', async () => {
    await using one = openHost(1);
    await using two = openHost(2);
    const sizeOf = (path: string) => {
      const args = ['info', '-U', '--output=json', '-f', 'qcow2', path];
      return (JSON.parse(execFileSync('qemu-img', args, { encoding: 'utf8' })) as { 'virtual-size': number })[
        'virtual-size'
      ];
    };
    const [machine, volume] = [randomUUID(), disk()];
    const sized = (mebibytes: number) => ({ ...volume, bytes: mebibytes * mebibyte });
    expect(await one.volumes.make(volume, 'i')).toBe(64 * mebibyte);
    expect(await two.volumes.make(sized(80), 'i')).toBe(80 * mebibyte);
    const path = await one.attach(machine, volume);
    expect(sizeOf(path)).toBe(80 * mebibyte);
    expect(await two.volumes.make(sized(100), 'i')).toBe(80 * mebibyte);
    expect(sizeOf(path)).toBe(80 * mebibyte);
    await one.attach(machine, volume);
    expect(sizeOf(path)).toBe(100 * mebibyte);
    expect(await two.volumes.make(sized(100), 'i')).toBe(100 * mebibyte);
    await one.volumes.remove(volume);
  });

  test('a size that was wanted and is not in force yet keeps machines off until it is', async () => {
    await using host = openHost(1);
    const [machine, volume] = [randomUUID(), shared()];
    await host.volumes.make(volume, 'i');
    await host.attach(randomUUID(), volume);
    // As a kill leaves it between what is wanted and Gluster's command.
    await writeFile(join(host.point, onVolume.size(volume.uid, 20 * mebibyte)), '');
    await expect(host.attach(machine, volume)).rejects.toMatchObject({ reason: 'QuotaFailed' });
    await host.volumes.make({ ...volume, bytes: 20 * mebibyte }, 'i');
    await host.attach(machine, volume);
    await host.volumes.remove(volume);
  });

  test('no machine gets a directory that is not on the volume', async () => {
    await using host = openHost(1);
    const [machine, volume] = [randomUUID(), shared()];
    await expect(host.attach(machine, volume)).rejects.toMatchObject({ reason: 'NotProvisioned' });
    await host.volumes.make(volume, 'i');
    const foreign = host.attach(machine, volume, { installation: 'another' });
    await expect(foreign).rejects.toMatchObject({ reason: 'NotProvisioned' });
    // Unmounted behind our back, and written into.
    execFileSync('umount', [host.point]);
    const fake = join(host.point, 'cf', volume.uid, 'data');
    mkdirSync(fake, { recursive: true });
    await expect(host.attach(machine, volume)).rejects.toMatchObject({ reason: 'MountPointNotEmpty' });
    expect(await host.health()).toMatchObject({ usable: false, reason: 'Unmounted' });
    rmSync(join(host.point, 'cf'), { recursive: true });
    expect(await host.health()).toMatchObject({ usable: true, reason: 'Healthy' });
    // Another file system over it.
    execFileSync('mount', ['-t', 'tmpfs', 'tmpfs', host.point]);
    try {
      await expect(host.attach(machine, volume)).rejects.toMatchObject({ reason: 'MountFailed' });
    } finally {
      execFileSync('umount', [host.point]);
    }
    expect(await host.attach(machine, volume)).toBe(fake);
    await host.volumes.remove(volume);
  });

  test('a lost brick and a lost quorum are told apart from a dead mount, which is left alone', async () => {
    await using host = openHost(1);
    const [machine, volume] = [randomUUID(), disk()];
    await host.volumes.make(volume, 'i');
    await host.attach(machine, volume);
    const before = host.mount();
    expect(await host.health()).toMatchObject({ reason: 'Healthy', safe: true, bricks: { online: 3, total: 3 } });
    await gluster.killBrick(name, 2);
    await vi.waitFor(
      async () =>
        expect(await host.health()).toMatchObject({ reason: 'BrickDown', usable: true, bricks: { online: 2 } }),
      patiently,
    );
    await host.attach(machine, volume);
    await gluster.killBrick(name, 3);
    await vi.waitFor(
      async () => expect(await host.health()).toMatchObject({ reason: 'QuorumLost', usable: false }),
      patiently,
    );
    await expect(host.attach(machine, volume)).rejects.toMatchObject({ reason: 'QuorumLost' });
    await gluster.startBricks(name);
    await vi.waitFor(async () => expect(await host.health()).toMatchObject({ reason: 'Healthy' }), patiently);
    expect(host.mount()).toEqual(before);
    await host.attach(machine, volume);
    await host.volumes.detach(machine);
    await host.volumes.remove(volume);
  });

  test('a mount whose client was killed is made anew, once nobody has a file open in it', async () => {
    await using host = openHost(1);
    const [machine, volume] = [randomUUID(), shared()];
    await host.volumes.make(volume, 'i');
    const path = await host.attach(machine, volume);
    const before = host.mount();
    const user = await userOf(path);
    process.kill(before.clients[0]!.pid, 'SIGKILL');
    await vi.waitFor(() => expect(() => statSync(path)).toThrow('not connected'), patiently);
    expect(await host.health()).toMatchObject({ reason: 'Stale', usable: false });
    await expect(host.attach(machine, volume)).rejects.toMatchObject({ reason: 'StaleInUse' });
    expect(host.mount().entry).toEqual(before.entry);
    await end(user);
    expect(await host.health()).toMatchObject({ reason: 'Healthy' });
    expect(host.mount().clients).not.toEqual(before.clients);
    expect(await host.attach(machine, volume)).toBe(path);
    statSync(path);
    await host.volumes.remove(volume);
  });

  test('a mount outlives the process and the control group that made it, and is taken over', async () => {
    await using host = openHost(1);
    const [machine, volume] = [randomUUID(), shared()];
    await host.volumes.make(volume, 'i');
    const program = `
      const { glusterVolumes } = await import(${JSON.stringify(join(import.meta.dirname, 'volumes.ts'))});
      const { systemClock } = await import(${JSON.stringify(join(import.meta.dirname, '../../lib/std/clock.ts'))});
      const [options, machine] = JSON.parse(process.argv[1]);
      const log = { info() {}, warn(...words) { console.error(...words); } };
      const [{ path }] = await glusterVolumes({ ...options, clock: systemClock, log }).attach(machine);
      console.log(path);
      setInterval(() => undefined, 1000);
    `;
    const { root, netns, answerMs } = host;
    const options = { root, netns, answerMs, host: 'host-1', names: [name], servers: gluster.servers };
    const group = existsSync('/sys/fs/cgroup/cpu/cgroup.procs') ? `/sys/fs/cgroup/cpu/cft-${randomUUID()}` : undefined;
    if (group) mkdirSync(group);
    const enter = ['-c', `${group ? `echo 0 >${group}/cgroup.procs;` : ''} exec "$@"`, 'sh'];
    const argument = JSON.stringify([options, { uid: machine, installation: 'i', attempt: 1, volumes: [volume] }]);
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
    expect(await host.attach(machine, volume)).toBe(path.toString().trim());
    expect(host.mount()).toEqual(before);
    await host.volumes.remove(volume);
  });

  test('a mount that does not answer holds nobody up, and goes when nobody wants it any more', async () => {
    await using host = openHost(1, 5_000);
    const [machine, volume] = [randomUUID(), shared()];
    await host.volumes.make(volume, 'i');
    await host.attach(machine, volume);
    const { pid } = host.mount().clients[0]!;
    process.kill(pid, 'SIGSTOP');
    try {
      expect(await host.health()).toMatchObject({ reason: 'Hung', usable: false });
      const begun = performance.now();
      await expect(host.attach(machine, volume)).rejects.toMatchObject({ reason: 'Hung' });
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

  test('a mount that hung for long is mounted anew: who waits in it ends, and the next machine starts', async () => {
    await using host = openHost(1, 3_000, 6_000);
    const [machine, volume] = [randomUUID(), shared()];
    await host.volumes.make(volume, 'i');
    const path = await host.attach(machine, volume);
    const { entry, clients } = host.mount();
    process.kill(clients[0]!.pid, 'SIGSTOP');
    const reader = spawn('cat', [join(path, 'nothing')], { stdio: 'ignore' });
    const ended = once(reader, 'exit');
    expect(await host.health()).toMatchObject({ reason: 'Hung', usable: false });
    expect(host.mount().entry).toEqual(entry);
    await vi.waitFor(async () => expect(await host.health()).toMatchObject({ reason: 'Healthy' }), patiently);
    await ended;
    expect(host.mount().clients).not.toEqual(clients);
    expect(await host.attach(machine, volume)).toBe(path);
    await host.volumes.detach(machine);
    await host.volumes.remove(volume);
  });

  test('a disk is for whoever was given it last, on whichever host', async () => {
    await using one = openHost(1);
    await using two = openHost(2);
    const volume = disk({ make: true });
    const [a, b] = [randomUUID(), randomUUID()];
    const path = await one.attach(a, volume);
    const info = JSON.parse(execFileSync('qemu-img', ['info', '--output=json', path], { encoding: 'utf8' }));
    expect(info).toMatchObject({ format: 'qcow2', 'virtual-size': volume.bytes });
    const held = { reason: 'WriterHeld' };
    await one.attach(a, volume);
    await two.attach(a, volume, { attempt: 2 });
    await expect(one.attach(a, volume)).rejects.toMatchObject(held);
    await two.attach(b, { ...volume, grant: 2 });
    // Who was replaced does not come back, however often it is launched, nor by letting go.
    await expect(one.attach(a, volume, { attempt: 3 })).rejects.toMatchObject(held);
    await one.volumes.detach(a);
    await expect(one.attach(a, volume, { attempt: 3 })).rejects.toMatchObject(held);
    await expect(one.attach(a, { ...volume, grant: 2 })).rejects.toMatchObject(held);
    await two.attach(b, { ...volume, grant: 2 });
    await two.volumes.detach(b);
    await one.volumes.remove(volume);
  });

  test.each([
    ['stands on another file', ['-b', '/etc/hostname', '-F', 'raw']],
    ['keeps its data in another file', ['-o', 'data_file=CANARY']],
  ])('a disk that %s, as a QEMU could write that was taken over, is not used', async (_, options) => {
    await using host = openHost(1);
    const volume = disk({ make: true });
    const machine = randomUUID();
    const path = await host.attach(machine, volume);
    const words = options.map((option) => option.replace('CANARY', `${path}.canary`));
    execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', '-u', ...words, path, String(volume.bytes)]);
    await expect(host.attach(machine, volume)).rejects.toMatchObject({ reason: 'BadDisk' });
    await host.volumes.detach(machine);
    await host.volumes.remove(volume);
  });

  test('while somebody on another host swaps its directories for links a Volume is removed, and no other', async () => {
    await using one = openHost(1);
    await using two = openHost(2);
    const [volume, other] = [shared({ make: true }), shared({ make: true })];
    const [machine, neighbour] = [randomUUID(), randomUUID()];
    const kept = await one.attach(neighbour, other);
    for (let file = 0; file < 20; file++) await writeFile(join(kept, `f${file}`), 'kept');
    const data = await two.attach(machine, volume);
    for (let directory = 0; directory < 40; directory++) {
      mkdirSync(join(data, `d${directory}`));
      await writeFile(join(data, `d${directory}`, 'f0'), '');
    }
    const swap = `
      const attempt = (work) => { try { work(); } catch {} };
      process.stdout.write('swapping');
      for (let turn = 0; ; turn++) {
        const path = process.argv[1] + '/d' + (turn % 40);
        attempt(() => fs.renameSync(path, path + '.aside'));
        attempt(() => fs.symlinkSync(process.argv[2], path));
        attempt(() => fs.unlinkSync(path));
        attempt(() => fs.renameSync(path + '.aside', path));
      }`;
    const target = join(onHost.point(two.root, name), 'cf', other.uid, 'data');
    const swapper = spawn(process.execPath, ['-e', swap, data, target], { stdio: ['ignore', 'pipe', 'inherit'] });
    await once(swapper.stdout, 'data');
    await one.volumes.remove(volume).catch((error) => expect(error.message).toMatch(/goes on to write/));
    await end(swapper);
    await two.volumes.detach(machine);
    await one.volumes.remove(volume);
    expect(readdirSync(join(one.point, 'cf'))).not.toContain(volume.uid);
    expect(readdirSync(kept)).toHaveLength(20);
    await one.volumes.detach(neighbour);
    await one.volumes.remove(other);
  });

  test('two hosts that want a disk at once: the later one gets it, and the other does not any more', async () => {
    await using one = openHost(1);
    await using two = openHost(2);
    const volume = disk({ make: true });
    const [a, b] = [randomUUID(), randomUUID()];
    await Promise.all([one.attach(a, volume), two.volumes.make(volume, 'i')]);
    const lost: string[] = [];
    for (let grant = 2; grant <= 10; grant += 2) {
      const [first, second] = grant % 4 === 0 ? [one, two] : [two, one];
      const outcomes = await Promise.allSettled([
        first.attach(a, { ...volume, grant }),
        second.attach(b, { ...volume, grant: grant + 1 }),
      ]);
      lost.push(outcomes[0].status);
      expect(outcomes[1].status).toBe('fulfilled');
      await expect(first.attach(a, { ...volume, grant })).rejects.toMatchObject({ reason: 'WriterHeld' });
      await second.attach(b, { ...volume, grant: grant + 1 });
    }
    console.info(`The earlier of two tokens: ${lost.join(', ')}`);
    for (const host of [one, two]) for (const uid of await host.volumes.owners()) await host.volumes.detach(uid);
    await one.volumes.remove(volume);
  });

  test("QEMU's own lock keeps a second one on another host out of the disk", async () => {
    await using one = openHost(1);
    await using two = openHost(2);
    const volume = disk({ make: true });
    const [path, other] = [await one.attach(randomUUID(), volume), join(two.point, 'cf')];
    await two.attach(randomUUID(), { ...volume, grant: 2 });
    const qemuIo = spawn('qemu-io', [path], { stdio: ['pipe', 'pipe', 'inherit'] });
    try {
      qemuIo.stdin.write('write 0 4096\n');
      await once(qemuIo.stdout, 'data');
      const there = join(other, volume.uid, 'disk.qcow2');
      expect(() => execFileSync('qemu-io', ['-c', 'write 0 4096', there], { stdio: 'pipe' })).toThrow('lock');
    } finally {
      await end(qemuIo);
    }
    for (const host of [one, two]) for (const uid of await host.volumes.owners()) await host.volumes.detach(uid);
    await one.volumes.remove(volume);
  });

  test('a disk is refused where one brick is all there is, unless that is wanted', async () => {
    await gluster.makeVolume('single', 1);
    await using host = openHost(1);
    const volume = disk({ glusterVolume: 'single' });
    await expect(host.volumes.make(volume, 'i')).rejects.toMatchObject({ reason: 'UnsafeReplication' });
    await host.volumes.make({ ...volume, allowUnsafe: true }, 'i');
    await host.volumes.remove(volume);
  });

  test('a quota that cannot be set, by a host that does not belong to the pool, is said, and no guest gets the directory', async () => {
    await using host = openHost(1, 20_000, 90_000, ['nsenter', `--net=/run/netns/${gluster.netns(1)}`, 'gluster']);
    const volume = shared();
    await expect(host.volumes.make(volume, 'i')).rejects.toMatchObject({ reason: 'QuotaFailed' });
    await expect(host.attach(randomUUID(), volume)).rejects.toMatchObject({ reason: 'NotProvisioned' });
    await host.volumes.remove(volume);
  });

  test('what waits to be healed is counted, and gone when it is', async () => {
    await using host = openHost(1);
    const [machine, volume] = [randomUUID(), shared({ make: true })];
    const path = await host.attach(machine, volume);
    await gluster.killBrick(name, 2);
    await vi.waitFor(async () => expect(await host.health()).toMatchObject({ reason: 'BrickDown' }), patiently);
    await writeFile(join(path, 'late'), 'x'.repeat(100_000));
    const heal = async () => await healOf(gluster.command, name);
    await vi.waitFor(async () => expect((await heal())?.healPending).toBeGreaterThan(0), patiently);
    expect(await heal()).toMatchObject({ splitBrain: 0 });
    await gluster.startBricks(name);
    await vi.waitFor(async () => expect(await heal()).toEqual({ healPending: 0, splitBrain: 0 }), patiently);
    expect((await host.health())?.used?.[volume.uid]).toBeGreaterThan(90_000);
    await host.volumes.detach(machine);
    await host.volumes.remove(volume);
  });

  test('a file that was written on both sides of a cut is counted as split', async () => {
    await gluster.makeVolume('split', 1, 2);
    await gluster.set('split', 'cluster.quorum-type', 'none');
    await gluster.set('split', 'network.ping-timeout', '3');
    await using one = openHost(1);
    await using two = openHost(2);
    const [a, b, volume] = [randomUUID(), randomUUID(), shared({ glusterVolume: 'split', make: true })];
    const paths = [await one.attach(a, volume), await two.attach(b, volume)] as const;
    await writeFile(join(paths[0], 'scene'), 'together');
    await gluster.join(2, false);
    for (const host of [one, two])
      await vi.waitFor(
        async () => expect(await host.volumes.look()).toMatchObject([{ name: 'split', reason: 'BrickDown' }]),
        patiently,
      );
    await writeFile(join(paths[0], 'scene'), 'here');
    await writeFile(join(paths[1], 'scene'), 'there');
    await gluster.join(2, true);
    await vi.waitFor(async () => expect((await healOf(gluster.command, 'split'))?.splitBrain).toBe(1), patiently);
    await gluster.resolve('split', `/cf/${volume.uid}/data/scene`, 2);
    await vi.waitFor(async () => expect((await healOf(gluster.command, 'split'))?.splitBrain).toBe(0), patiently);
    for (const host of [one, two]) for (const uid of await host.volumes.owners()) await host.volumes.detach(uid);
    await one.volumes.remove(volume);
  });

  test('a volume that is nearly full says so, and is used all the same', async () => {
    await gluster.makeSmallVolume('small', 1, 96);
    await using host = openHost(1);
    const [machine, volume] = [randomUUID(), shared({ glusterVolume: 'small', make: true })];
    await host.attach(machine, volume);
    const look = async () => (await host.volumes.look()).find((report) => report.name === 'small');
    expect(await look()).toMatchObject({ reason: 'Healthy' });
    const image = join(host.root, 'image.raw');
    execFileSync('dd', ['if=/dev/urandom', `of=${image}`, 'bs=1M', 'count=150'], { stdio: 'ignore' });
    const large = disk({ glusterVolume: 'small', bytes: 150 * mebibyte, allowUnsafe: true });
    const watch = { told: () => undefined, signal: never };
    await expect(host.volumes.fill(large, 'i', { path: image, format: 'raw' }, watch)).rejects.toMatchObject({
      reason: 'NoRoom',
    });
    await host.volumes.remove(large);
    rmSync(image);
    const filler = join(onHost.point(host.root, 'small'), 'filler');
    execFileSync('dd', ['if=/dev/zero', `of=${filler}`, 'bs=1M', 'count=93', 'conv=fsync'], { stdio: 'ignore' });
    expect(await look()).toMatchObject({ reason: 'NearlyFull', usable: true });
    await host.attach(machine, volume);
    rmSync(filler);
    await vi.waitFor(async () => expect(await look()).toMatchObject({ reason: 'Healthy' }), patiently);
    await host.volumes.detach(machine);
    await host.volumes.remove(volume);
  });

  test('a volume that no server has is said so, and leaves nothing', async () => {
    await using host = openHost(1);
    const volume = shared({ glusterVolume: 'nowhere' });
    await expect(host.attach(randomUUID(), shared({ glusterVolume: 'partners' }))).rejects.toMatchObject({
      reason: 'NotAllowed',
    });
    await expect(host.attach(randomUUID(), volume)).rejects.toMatchObject({
      reason: 'MountFailed',
    });
    for (const uid of await host.volumes.owners()) await host.volumes.detach(uid);
    rmSync(onHost.log(host.root, 'nowhere'), { force: true });
    writeFileSync(join(host.root, 'volumes', '.keep'), '');
    expect(await host.volumes.look()).toEqual([]);
    rmSync(join(host.root, 'volumes', '.keep'));
  });
});
