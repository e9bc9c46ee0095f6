/**
 * A real machine whose disk was changed in its header, as a QEMU can do that its guest has taken over, and which is started anew. strace watches
 * libvirt and every QEMU that it starts: what they open.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { randomBytes, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { chownSync, readFileSync, renameSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import type { MachineLaunch } from '#lib/api/launch.ts';
import { openRealHost, type RealHost, whyNoRealHost } from '#test/real-host.ts';
import { whyNot } from '#test/requires.ts';
import { consolePaths } from '../console/paths.ts';
import { rootDiskOf } from '../disks/disks.ts';
import type { Hypervisor } from '../hypervisor.ts';
import { type HostTools, perform } from '../machine/host.ts';
import { accepted, type HostEffect } from '../machine/state.ts';
import { DiskUse } from '../snapshots/disk-use.ts';
import { machineLaunch } from '../testing/world.ts';
import { libvirtDevices } from './devices.ts';
import { libvirtHypervisor } from './driver.ts';

const size = 64 * 2 ** 20;

describe.skipIf((whyNoRealHost() ?? whyNot(['strace'], { root: true })) !== undefined)(
  'a machine',
  { timeout: 180_000 },
  () => {
    let host: RealHost;
    let hypervisor: Hypervisor;
    let tools: HostTools;
    let directory: string;
    let canary: string;
    beforeAll(async () => {
      host = await openRealHost();
      hypervisor = libvirtHypervisor({ socket: host.socket, installation: 'i' });
      const devices = libvirtDevices({ root: host.root, netns: host.netns });
      const images = { places: () => [host.image], find: async () => host.image } as unknown as HostTools['images'];
      tools = {
        hypervisor,
        devices,
        root: host.root,
        images,
        requireTime: () => undefined,
        departures: { stop: async () => undefined, stayed: () => undefined },
        use: new DiskUse(),
      };
      directory = dirname(host.image);
      canary = join(directory, 'canary');
      writeFileSync(canary, randomBytes(65_536), { mode: 0o644 });
    }, 120_000);
    afterAll(async () => {
      await hypervisor?.[Symbol.asyncDispose]();
      await host?.[Symbol.asyncDispose]();
    });

    const launchOf = (uid: string): MachineLaunch =>
      machineLaunch(uid, {
        ...{ memoryMiB: 96, rootDiskBytes: size, hostname: 'web', name: 'web' },
        image: { digest: 'a'.repeat(64), format: 'qcow2', virtualSize: size },
      });
    /** As the machine's driver has it done. */
    const does = async (uid: string, effect: HostEffect) =>
      await perform(tools, accepted(launchOf(uid)), effect, {
        event: { type: 'looked', domain: undefined },
        before: undefined,
      });

    async function run(): Promise<string> {
      const uid = randomUUID();
      await does(uid, 'provision');
      await does(uid, 'start');
      const { consoleLog } = consolePaths(host.root, uid);
      await vi.waitFor(() => expect(readFileSync(consoleLog, 'latin1')).toContain('READY'), 60_000);
      return uid;
    }

    /** What libvirt and all that it starts open until `work` is over. */
    async function watched(work: () => Promise<unknown>): Promise<string> {
      const trace = join(directory, `trace-${randomUUID()}`);
      const { pid } = (await host.processes()).find(({ name }) => name === 'libvirtd')!;
      const options = ['-f', '-o', trace, '-s', '4096', '-e', 'trace=%file', '-p', String(pid)];
      const strace = spawn('strace', options, { stdio: ['ignore', 'ignore', 'pipe'] });
      try {
        await once(strace.stderr, 'data');
        await work();
      } finally {
        await ended(strace);
      }
      return readFileSync(trace, 'utf8');
    }

    async function ended(strace: ChildProcess): Promise<void> {
      const exit = once(strace, 'exit');
      strace.kill('SIGINT');
      await exit;
    }

    /** A backing file that is no path is not even written into the domain's XML. */
    const refusal = /The machine's disk is not used|with the backing file/;
    const reaches = (trace: string) => (trace.includes(canary) ? ['the canary'] : []);

    /** In place of the machine's disk, with its owner and mode. */
    function replaceDisk(uid: string, ...options: readonly string[]): void {
      const disk = rootDiskOf(host.root, uid);
      const { uid: owner, gid } = statSync(disk);
      execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', '-u', ...options, disk, String(size)]);
      chownSync(disk, owner, gid);
    }

    const json = () => `json:${JSON.stringify({ driver: 'raw', file: { driver: 'file', filename: canary } })}`;

    test.each<[string, (uid: string) => void, readonly string[]]>([
      ['stands on another file', (uid) => replaceDisk(uid, '-b', canary, '-F', 'raw'), ['the canary']],
      ['stands on another file, said in JSON', (uid) => replaceDisk(uid, '-b', json(), '-F', 'raw'), []],
      [
        'has its data in another file',
        (uid) => {
          const bytes = readFileSync(canary);
          replaceDisk(uid, '-b', host.image, '-F', 'qcow2', '-o', `data_file=${canary}`);
          writeFileSync(canary, bytes);
        },
        ['the canary'],
      ],
    ])('whose disk %s is not started, and nothing is opened', async (_, change, otherwise) => {
      const uid = await run();
      await hypervisor.destroy(uid);
      change(uid);
      const trace = await watched(async () => await expect(does(uid, 'start')).rejects.toThrow(refusal));
      expect(reaches(trace)).toEqual([]);
      expect(await hypervisor.get(uid)).toMatchObject({ power: 'Off' });
      // Nobody but that look stands between, and strace sees what it is there for: without the look libvirt or QEMU opens the canary.
      if (otherwise.length > 0) {
        const blind = await watched(async () => await hypervisor.start(uid).catch(() => undefined));
        expect(reaches(blind)).toEqual(otherwise);
      }
      await does(uid, 'remove');
    });

    test('in the place of whose disk is a link to another machine’s is not started', async () => {
      const [uid, other] = [await run(), await run()];
      await hypervisor.destroy(uid);
      const disk = rootDiskOf(host.root, uid);
      renameSync(disk, `${disk}.kept`);
      symlinkSync(rootDiskOf(host.root, other), disk);
      const trace = await watched(
        async () => await expect(does(uid, 'start')).rejects.toThrow("The machine's disk is not used"),
      );
      expect(trace).not.toContain(rootDiskOf(host.root, other));
      expect(await hypervisor.get(other)).toMatchObject({ power: 'On' });
      for (const each of [uid, other]) await does(each, 'remove');
    });

    test('whose guest wrote the header of a qcow2 file into its disk and seed starts anew, and opens its own files alone', async () => {
      const uid = await run();
      await hypervisor.destroy(uid);
      const header = join(directory, 'header');
      execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', '-u', '-b', canary, '-F', 'raw', header, '1M']);
      const bytes = readFileSync(header).length;
      const at = size - 2 ** 20;
      execFileSync('qemu-io', [
        '-f',
        'qcow2',
        '-c',
        `write -q -s ${header} ${at} ${bytes}`,
        rootDiskOf(host.root, uid),
      ]);
      const { consoleLog } = consolePaths(host.root, uid);
      const before = readFileSync(consoleLog, 'latin1').length;
      const trace = await watched(async () => {
        await does(uid, 'start');
        await vi.waitFor(() => expect(readFileSync(consoleLog, 'latin1').slice(before)).toContain('READY'), 120_000);
      });
      expect(reaches(trace)).toEqual([]);
      expect(trace).toContain(`"${rootDiskOf(host.root, uid)}"`);
      expect(trace).toMatch(/execve\("[^"]*qemu-system-x86_64"/);
      await does(uid, 'remove');
    });
  },
);
