/** A pretended host of real machines for tests: libvirtd of its own, the small guest's image, everything in one temporary directory. */
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { chmod, copyFile, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { whyNoCgroups } from '#cli/pretend-host/cgroups.ts';
import { removeMounts } from '#cli/pretend-host/mounts.ts';
import { startPretendHost, stopPretendHost } from '#cli/pretend-host/pretend-host.ts';
import { whyNot } from './requires.ts';

const run = promisify(execFile);
const project = join(import.meta.dirname, '..');

export interface RealHost extends AsyncDisposable {
  readonly socket: string;
  readonly netns: string;
  /** For the executor: journal, disks, networks. */
  readonly root: string;
  /** The small guest, qcow2. */
  readonly image: string;
  readonly bootIdFile: string;
  /** Whether it has control groups: they were asked for, and this computer has some to give. */
  readonly cgroups: boolean;
  /** Cuts the power and boots again. */
  powerCycle(): Promise<void>;
  /** Runs a program in the host's network namespace, and gives its standard output. */
  exec(program: string, ...args: string[]): Promise<string>;
  /** Names of the processes that live in the host. */
  processes(): Promise<readonly { readonly pid: number; readonly name: string }[]>;
}

/** undefined where real machines can run. */
export function whyNoRealHost(): string | undefined {
  const machine = [
    'libvirtd',
    'virtlogd',
    'qemu-system-x86_64',
    'qemu-img',
    'genisoimage',
    'dnsmasq',
    'nft',
    'ip',
    'nsenter',
  ];
  return whyNot([...machine, 'busybox', 'mcopy', 'syslinux', 'cpio'], { root: true });
}

export async function openRealHost({ cgroups = false, mounts = false } = {}): Promise<RealHost> {
  const dir = await mkdtemp(join(tmpdir(), 'cf-'));
  // QEMU's own user has to reach its disks.
  await chmod(dir, 0o755);
  const image = join(dir, 'guest.qcow2');
  await copyFile(await guestImage(), image);
  const options = {
    ...{ name: `cft-${randomBytes(5).toString('hex')}`, dir: join(dir, 'host'), cgroups },
    mounts: mounts ? join(dir, 'executor/volumes') : undefined,
  };
  const { socket, netns, bootIdFile } = await startPretendHost(options);
  const exec = async (program: string, ...args: string[]) =>
    (await run('ip', ['netns', 'exec', netns, program, ...args], { timeout: 20_000 })).stdout;
  return {
    ...{ socket, netns, bootIdFile, image, exec, root: join(dir, 'executor') },
    cgroups: cgroups && whyNoCgroups() === undefined,
    async powerCycle() {
      await stopPretendHost(options);
      await startPretendHost(options);
    },
    async processes() {
      const { stdout } = await run('ip', ['netns', 'pids', netns]);
      const pids = stdout.split('\n').filter((line) => line !== '');
      return pids.flatMap((pid) => {
        const name = commandName(pid);
        return name === undefined ? [] : [{ pid: Number(pid), name }];
      });
    },
    async [Symbol.asyncDispose]() {
      await stopPretendHost(options);
      if (options.mounts) await removeMounts(options.mounts);
      await rm(dir, { recursive: true, force: true });
    },
  };
}

/** Built once for the whole project; later calls find it. */
async function guestImage(): Promise<string> {
  const { stdout } = await run(join(project, 'hack/guest-image/build.sh'), [], { timeout: 120_000 });
  return stdout.trim();
}

/** As `ps -o comm` shows it; undefined if the process has ended meanwhile. */
function commandName(pid: string): string | undefined {
  try {
    return readFileSync(`/proc/${pid}/comm`, 'utf8').trim();
  } catch (error) {
    if (['ENOENT', 'ESRCH'].includes((error as NodeJS.ErrnoException).code ?? '')) return undefined;
    throw error;
  }
}
