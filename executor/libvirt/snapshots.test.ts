/** Snapshots of real machines, as an executor's orders take them: the guest is real, its agent, and the host's libvirt and QEMU. */
import { randomUUID } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import type { DiskOrder, OperationReport } from '#lib/api/messages.ts';
import { systemClock } from '#lib/std/clock.ts';
import { type Log, silentLog } from '#lib/std/log.ts';
import { openRealHost, type RealHost, whyNoRealHost } from '#test/real-host.ts';
import { consolePaths } from '../console/paths.ts';
import type { DomainSpec, HostDevices, Hypervisor } from '../hypervisor.ts';
import { imageStore } from '../images/store.ts';
import { Journal } from '../journal/journal.ts';
import { accepted, type MachineState } from '../machine/state.ts';
import { DiskUse } from '../snapshots/disk-use.ts';
import { Freezes } from '../snapshots/freezes.ts';
import { DiskOrders } from '../snapshots/orders.ts';
import { shell } from '../testing/guest-shell.ts';
import { sha256 } from '../testing/image-store.ts';
import { machineLaunch } from '../testing/world.ts';
import { libvirtDevices } from './devices.ts';
import { libvirtHypervisor } from './driver.ts';

const bootMs = 60_000;
const network = {
  ...{ subnet: 's', subnetUID: 'u', vni: 4097, prefix: 24, gateway: '10.66.10.1', mtu: 1450 },
  ...{ dns: ['10.66.10.2'], domain: 'lab.example', leaseSeconds: 3600 },
};

describe.skipIf(whyNoRealHost() !== undefined)('snapshots of real machines', { timeout: 240_000 }, () => {
  let host: RealHost;
  let hypervisor: Hypervisor;
  let devices: HostDevices;
  let store: string;
  let digest: string;
  const machines = new Map<string, MachineState>();
  beforeAll(async () => {
    host = await openRealHost();
    hypervisor = libvirtHypervisor({ socket: host.socket, installation: 'i' });
    devices = libvirtDevices({ root: host.root, netns: host.netns });
    store = join(host.image, '../images');
    mkdirSync(store, { mode: 0o755 });
    digest = sha256(readFileSync(host.image));
    renameSync(host.image, join(store, digest));
  }, 120_000);
  afterAll(async () => {
    await hypervisor?.[Symbol.asyncDispose]();
    await host?.[Symbol.asyncDispose]();
  });

  async function run(last: number, hostname: string, image = digest): Promise<DomainSpec> {
    const uid = randomUUID();
    const metaData = `instance-id: ${uid}\nlocal-hostname: ${hostname}\n`;
    const seed = { label: 'cidata', files: { 'meta-data': metaData, 'user-data': '#cloud-config\n' } };
    const path = join(store, image);
    const disks = await devices.makeDisks({ uid, image: { path, format: 'qcow2' }, rootDiskBytes: 64 * 2 ** 20, seed });
    const own = { ip: `10.66.10.${last}`, mac: `52:54:00:00:00:${last}` };
    const nics = await devices.attachNetworks({ uid, hostname, networks: [{ ...network, ...own }] });
    const named = { uid, installation: 'i', namespace: 'n', name: hostname, attempt: 1, cores: 1, memoryMiB: 128 };
    const spec = { ...named, ...disks, nics, ...consolePaths(host.root, uid) };
    const launch = machineLaunch(uid, {
      image: { digest: image, format: 'qcow2', virtualSize: 1 },
      rootDiskBytes: 64 * 2 ** 20,
    });
    machines.set(uid, { ...accepted(launch), phase: { name: 'Running', since: 0 } });
    await hypervisor.define(spec);
    await hypervisor.start(uid);
    await vi.waitFor(() => expect(readFileSync(spec.consoleLog, 'latin1')).toContain(`READY ${hostname}`), bootMs);
    return spec;
  }

  function openOrders(journal: Journal, log: Log = silentLog): DiskOrders {
    return new DiskOrders({
      ...{
        journal,
        hypervisor,
        devices,
        images: imageStore(store, systemClock),
        imageStore: store,
        use: new DiskUse(),
        freezes: new Freezes(systemClock),
      },
      machine: (uid) => machines.get(uid),
      changed: () => undefined,
      ...{ clock: systemClock, log },
      fatal: (error) => expect.fail(String(error)),
    });
  }

  const journalAt = () => new Journal(join(host.root, 'journal.db'), 'life-1');

  function taking(uid: string, changes: object = {}): DiskOrder {
    const snapshot = randomUUID();
    return {
      ...{ type: 'disk', version: 1, id: snapshot, uid, snapshot, attempt: 1, timeoutMs: 100_000 },
      ...{ order: 'Snapshot', consistency: 'Quiesced', ...changes },
    } as DiskOrder;
  }

  async function outcome(journal: Journal, { id }: DiskOrder): Promise<OperationReport> {
    const found = () => journal.operations().find((each) => each.id === id);
    await vi.waitFor(() => expect(found()?.state).not.toBe('InProgress'), { timeout: 100_000, interval: 100 });
    return found()!;
  }

  const filesOf = (uid: string) => readdirSync(join(host.root, 'vms', uid)).filter((name) => name.endsWith('.qcow2'));
  const agentReady = async (uid: string) =>
    await vi.waitFor(async () => await hypervisor.agent(uid, { execute: 'guest-ping' }, 5_000), {
      timeout: bootMs,
      interval: 500,
    });
  const lines = async (spec: DomainSpec, command: string) => (await shell(spec, command)).replaceAll('\r', '');

  test('the new machine has the old mark and an identity of its own; the old one goes on with its new mark, without a reboot', async () => {
    const old = await run(11, 'web-11');
    await agentReady(old.uid);
    const bootOf = async (spec: DomainSpec) =>
      /[0-9a-f]{8}-[0-9a-f-]{27}/.exec(await lines(spec, 'cat /proc/sys/kernel/random/boot_id'))![0];
    const booted = await bootOf(old);
    // Written, and not yet on the disk: that is what freezing is for.
    await lines(old, 'echo "mark-$((40 + 2))" > /data/mark');
    using journal = journalAt();
    // A guest that has too much to do to freeze in time is asked again: what counts is the last time.
    const thawed = vi.fn();
    const log = { ...silentLog, info: (text: string, about: object) => void thawed(text, about) };
    await using orders = openOrders(journal, log);
    const frozen: unknown[] = [];
    const copyDisk = hypervisor.copyDisk.bind(hypervisor);
    const status = async () => await hypervisor.agent(old.uid, { execute: 'guest-fsfreeze-status' }, 5_000);
    const spy = vi.spyOn(hypervisor, 'copyDisk').mockImplementation(async (...args) => {
      frozen.push(await status());
      await copyDisk(...args);
    });
    const order = taking(old.uid);
    orders.obey(order);
    const hasThawed = ['A guest has thawed its file systems', { uid: old.uid, wasFrozen: true }] as const;
    await vi.waitFor(() => expect(thawed).toHaveBeenCalledWith(...hasThawed), 60_000);
    // The guest writes on while its disk is copied.
    await lines(old, 'echo "mark-$((40 + 3))" > /data/mark; sync');
    const report = await outcome(journal, order);
    spy.mockRestore();
    expect(report).toMatchObject({
      ...{ state: 'Completed', message: 'Taken' },
      result: { consistency: 'Quiesced', indications: ['GuestAgent'] },
    });
    expect([frozen.at(-1), await status()]).toEqual(['frozen', 'thawed']);
    expect(filesOf(old.uid)).toEqual(['root.qcow2']);
    expect(readdirSync(join(store, 'incoming'))).toEqual([]);

    const copy = await run(12, 'copy-12', report.result!.digest);
    expect(await lines(copy, 'cat /data/mark')).toContain('mark-42');
    expect(await lines(old, 'cat /data/mark')).toContain('mark-43');
    expect(await bootOf(old)).toBe(booted);
    const [mine, yours] = [
      await lines(copy, 'hostname; ip addr; wget -qO- http://127.0.0.1/'),
      await lines(old, 'hostname; ip addr; wget -qO- http://127.0.0.1/'),
    ];
    for (const own of ['copy-12', '52:54:00:00:00:12', '10.66.10.12', `"instance":"${copy.uid}"`]) {
      expect(mine).toContain(own);
      expect(yours).not.toContain(own);
    }
    await hypervisor.destroy(copy.uid);

    // In place, once it is off.
    await hypervisor.destroy(old.uid);
    machines.set(old.uid, { ...machines.get(old.uid)!, phase: { name: 'Stopped' } });
    const { snapshot } = order;
    const common = { type: 'disk', version: 1, id: randomUUID(), uid: old.uid, snapshot, attempt: 1 } as const;
    const restore: DiskOrder = { ...common, timeoutMs: 60_000, order: 'Restore', digest: report.result!.digest };
    orders.obey(restore);
    expect(await outcome(journal, restore)).toMatchObject({ state: 'Completed' });
    rmSync(old.consoleLog, { force: true });
    await hypervisor.define(old);
    await hypervisor.start(old.uid);
    await vi.waitFor(() => expect(readFileSync(old.consoleLog, 'latin1')).toContain('READY web-11'), bootMs);
    expect(await lines(old, 'cat /data/mark')).toContain('mark-42');
    expect(filesOf(old.uid)).toEqual(['root.qcow2']);

    // Off again: its file is copied, and stands on nothing.
    await hypervisor.destroy(old.uid);
    const off = taking(old.uid, { consistency: 'QuiescedOrCrash' });
    orders.obey(off);
    expect(await outcome(journal, off)).toMatchObject({ result: { consistency: 'CrashConsistent', indications: [] } });
    await hypervisor.undefine(old.uid);
  });

  test('a worker that is killed with a frozen guest and a copy under way: the next one thaws, and takes the snapshot', async () => {
    const spec = await run(13, 'web-13');
    const { uid } = spec;
    await agentReady(uid);
    const order = taking(uid);
    {
      // What it leaves: the order, a guest that is frozen, and libvirt copying.
      using journal = journalAt();
      journal.order({ id: order.id, uid, state: 'InProgress', message: '' });
      journal.orderDisk(order, Date.now() + 100_000);
      journal.freezes(uid);
      expect(await hypervisor.agent(uid, { execute: 'guest-fsfreeze-freeze' }, 10_000)).toBeGreaterThan(0);
      await hypervisor.copyDisk(uid, devices.copies.fileFor(uid));
      mkdirSync(join(store, 'incoming', `snapshot-${order.snapshot}`), { recursive: true });
      writeFileSync(join(store, 'incoming', `snapshot-${order.snapshot}`, 'canonical'), 'half');
    }
    const since = Date.now();
    using journal = journalAt();
    await using _ = openOrders(journal);
    await vi.waitFor(
      async () => expect(await hypervisor.agent(uid, { execute: 'guest-fsfreeze-status' }, 5_000)).toBe('thawed'),
      10_000,
    );
    const thawedMs = Date.now() - since;
    expect(thawedMs).toBeLessThan(10_000);
    expect(await outcome(journal, order)).toMatchObject({ state: 'Completed', result: { consistency: 'Quiesced' } });
    expect(await lines(spec, 'echo ok > /data/mark && sync && cat /data/mark')).toContain('ok');
    expect([filesOf(uid), readdirSync(join(store, 'incoming')), journal.frozen()]).toEqual([['root.qcow2'], [], []]);
    await hypervisor.destroy(uid);
    await hypervisor.undefine(uid);
  });

  test('libvirtd is killed while a disk is copied: the snapshot is taken all the same, and the guest runs on, thawed', async () => {
    const spec = await run(14, 'web-14');
    const { uid } = spec;
    await agentReady(uid);
    await lines(spec, 'echo "mark-$((50 + 1))" > /data/mark');
    using journal = journalAt();
    await using orders = openOrders(journal);
    const order = taking(uid, { consistency: 'QuiescedOrCrash' });
    const copyDisk = hypervisor.copyDisk.bind(hypervisor);
    const begun = Promise.withResolvers<void>();
    const spy = vi.spyOn(hypervisor, 'copyDisk').mockImplementation(async (...args) => {
      await copyDisk(...args);
      begun.resolve();
    });
    orders.obey(order);
    await begun.promise;
    for (const { pid, name } of await host.processes()) if (name === 'libvirtd') process.kill(pid, 'SIGKILL');
    expect(await outcome(journal, order)).toMatchObject({ state: 'Completed', message: 'Taken' });
    spy.mockRestore();
    const status = async () => await hypervisor.agent(uid, { execute: 'guest-fsfreeze-status' }, 5_000);
    await vi.waitFor(async () => expect(await status()).toBe('thawed'), { timeout: 30_000, interval: 500 });
    expect(await lines(spec, 'echo on > /data/mark; sync; cat /data/mark')).toContain('on');
    expect([filesOf(uid), journal.frozen()]).toEqual([['root.qcow2'], []]);
    await hypervisor.destroy(uid);
    await hypervisor.undefine(uid);
  });
});
