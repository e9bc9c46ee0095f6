/** The mount of the images on real GlusterFS, and real QEMUs that stand on it: its client stops answering, and what becomes of both. */
import { execFile, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { existsSync, globSync, mkdirSync, mkdtempSync, readdirSync, readlinkSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { systemClock } from '#lib/std/clock.ts';
import { silentLog } from '#lib/std/log.ts';
import { identifyProcess, type ProcessIdentity } from '#lib/std/process-identity.ts';
import { whyNot } from '#test/requires.ts';
import { imageStore } from '../images/store.ts';
import { QemuBook } from '../libvirt/qemu-book.ts';
import { isEnding, isThere } from '../processes/kernel.ts';
import { type Gluster, openGluster, whyNoGluster } from '../volumes/testing/gluster.ts';
import { guardedStore } from './guarded.ts';
import { clientsOf } from './processes.ts';
import { mountNamespace, mountOf, type View } from './view.ts';
import { StoreWatch } from './watch.ts';

const run = promisify(execFile);
const patiently = { timeout: 60_000, interval: 100 };
const digest = 'd'.repeat(64);
const why = whyNoGluster() ?? whyNot(['qemu-system-x86_64', 'mount.glusterfs', 'dd', 'stat']);

let gluster: Gluster;

/** A host with the volume mounted for images, as an operator does it, and what watches over it. */
async function openHost() {
  const root = mkdtempSync(join(tmpdir(), 'cf-'));
  const directory = join(root, 'images');
  mkdirSync(directory);
  const enter = `--net=/run/netns/${gluster.netns(1)}`;
  // The servers are reached from there alone.
  const inside = spawn('nsenter', [enter, 'sleep', '600'], { stdio: 'ignore' });
  const view: View = { pid: () => String(inside.pid) };
  await run('nsenter', [
    enter,
    'glusterfs',
    `--volfile-server=${gluster.servers[0]}`,
    '--volfile-id=/images',
    directory,
  ]);
  await vi.waitFor(() => expect(mountOf(directory, view)?.point).toBe(directory), patiently);
  await run('qemu-img', ['create', '-q', '-f', 'raw', join(directory, digest), '1M']);
  const processes = new QemuBook({ root });
  const times = { everyMs: 200, hungMs: 6_000, staleMs: 1_000, answerMs: 1_000, keeperMs: 0 };
  const watch = new StoreWatch({
    ...{ directory, memory: join(root, 'mount.json'), view, times },
    ...{ stuck: () => processes.stuck(), clock: systemClock, log: silentLog },
  });
  const clients = () => clientsOf(directory, mountNamespace(view));
  const qemus: ProcessIdentity[] = [];
  return {
    ...{ directory, root, watch, processes, clients },
    images: guardedStore(directory, imageStore(directory, systemClock), [watch]),
    mount: () => mountOf(directory, view),
    /** A guest that never begins, on a disk whose image is in the store: what it has open and locked is what counts. */
    async startQemu(): Promise<{ uid: string; identity: ProcessIdentity }> {
      const uid = randomUUID();
      const overlay = join(root, 'vms', uid, 'root.qcow2');
      mkdirSync(join(root, 'vms', uid), { recursive: true });
      await run('qemu-img', ['create', '-q', '-f', 'qcow2', '-F', 'raw', '-b', join(directory, digest), overlay]);
      const args = [
        '-name',
        `guest=cf-${uid}`,
        '-S',
        '-display',
        'none',
        '-nodefaults',
        '-m',
        '16',
        '-monitor',
        'none',
      ];
      const qemu = spawn('qemu-system-x86_64', [...args, '-drive', `file=${overlay},format=qcow2`], {
        stdio: 'ignore',
      });
      await vi.waitFor(() => {
        processes.runs(uid);
        expect(filesOf(qemu.pid!)).toContain(join(directory, digest));
      }, patiently);
      const identity = identifyProcess(qemu.pid!)!;
      qemus.push(identity);
      return { uid, identity };
    },
    async [Symbol.asyncDispose]() {
      await watch[Symbol.asyncDispose]();
      for (const each of qemus) if (isThere(each)) process.kill(each.pid, 'SIGKILL');
      for (const { pid } of clients()) process.kill(pid, 'SIGKILL');
      while (mountOf(directory, view)?.point === directory) await run('umount', ['--lazy', directory]);
      await vi.waitFor(() => expect(qemus.filter(isThere)).toEqual([]), patiently);
      inside.kill('SIGKILL');
      for (const log of globSync(`/var/log/glusterfs/*${basename(root)}*`)) rmSync(log);
      rmSync(root, { recursive: true });
    },
  };
}

function filesOf(pid: number): readonly string[] {
  return readdirSync(`/proc/${pid}/fd`).map((file) => readlinkSync(`/proc/${pid}/fd/${file}`));
}

describe.skipIf(why !== undefined)('the mount of the images', { timeout: 120_000 }, () => {
  beforeAll(async () => {
    gluster = await openGluster(1);
    await gluster.makeVolume('images', 1);
  }, 240_000);
  afterAll(async () => await gluster?.[Symbol.asyncDispose](), 60_000);

  test('hangs: it is noticed, a QEMU that is killed is stuck in it and not gone, and both are put right', async () => {
    await using host = await openHost();
    const { watch, processes, images } = host;
    await vi.waitFor(() => expect(watch.report.reason).toBe('Answers'), patiently);
    expect(await images.digests()).toEqual([digest]);
    const { uid, identity } = await host.startQemu();
    const other = await host.startQemu();
    const before = host.mount();
    for (const { pid } of host.clients()) process.kill(pid, 'SIGSTOP');
    await vi.waitFor(() => expect(watch.report).toMatchObject({ usable: false, reason: 'Hung' }), patiently);
    // Somebody runs on it.
    for (const each of [uid, other.uid]) expect(watch.report.message).toContain(each);
    await expect(images.find(digest)).rejects.toThrow('does not answer');
    expect(await images.digests()).toBeUndefined();
    await systemClock.sleep(8_000);
    expect(host.mount()).toEqual(before);

    process.kill(identity.pid, 'SIGKILL');
    await systemClock.sleep(2_000);
    expect(isEnding(String(identity.pid))).toBe(true);
    expect(processes.leftOf(uid)).toMatchObject({ pid: identity.pid });
    expect(processes.stuck()).toEqual([uid]);
    // Another life of the executor knows it, too.
    expect(new QemuBook({ root: host.root }).leftOf(uid)).toMatchObject({ pid: identity.pid });

    expect(watch.report.reason).toBe('Hung');
    expect(watch.report.message).not.toContain(uid);

    process.kill(other.identity.pid, 'SIGKILL');
    for (const each of [uid, other.uid])
      await vi.waitFor(() => expect(processes.leftOf(each)).toBeUndefined(), patiently);
    await vi.waitFor(() => expect(watch.report).toMatchObject({ usable: true, reason: 'Answers' }), patiently);
    expect(host.mount()).toMatchObject({ point: host.directory, type: before!.type, source: before!.source });
    await vi.waitFor(() => expect(existsSync(join(host.root, 'mount.json'))).toBe(false), patiently);
    expect(await images.find(digest)).toBe(join(host.directory, digest));
    await host.startQemu();
  });

  test('is silent for a moment: nothing happens to it, nor to who runs on it', async () => {
    await using host = await openHost();
    await vi.waitFor(() => expect(host.watch.report.reason).toBe('Answers'), patiently);
    const [before, clients] = [host.mount(), host.clients()];
    for (const { pid } of clients) process.kill(pid, 'SIGSTOP');
    await vi.waitFor(() => expect(host.watch.report.reason).toBe('Hung'), patiently);
    for (const { pid } of clients) process.kill(pid, 'SIGCONT');
    await vi.waitFor(() => expect(host.watch.report.reason).toBe('Answers'), patiently);
    await systemClock.sleep(7_000);
    expect([host.mount(), host.clients()]).toEqual([before, clients]);
  });

  test('loses its client: it is told, and mounted anew', async () => {
    await using host = await openHost();
    await vi.waitFor(() => expect(host.watch.report.reason).toBe('Answers'), patiently);
    const before = host.clients();
    for (const { pid } of before) process.kill(pid, 'SIGKILL');
    await vi.waitFor(() => expect(host.watch.report).toMatchObject({ usable: false, reason: 'Stale' }), patiently);
    await vi.waitFor(() => expect(host.watch.report.reason).toBe('Answers'), patiently);
    expect(host.clients()).toHaveLength(1);
    expect(host.clients()).not.toEqual(before);
    expect(await host.images.find(digest)).toBe(join(host.directory, digest));
  });
});
