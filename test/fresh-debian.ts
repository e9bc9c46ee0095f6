/**
 * A host that has nothing yet but Debian, for tests of what is done to one: a Debian of its own (files, processes, host name, network), over
 * a base that is fetched once for the project. Real is Debian, apt-get and its packages, and everything that is run; there is no systemd.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rename, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeNamespace, removeNamespace } from '#cli/pretend-host/namespace.ts';
import { systemClock } from '#lib/std/clock.ts';
import { must, run } from './e2e/local-cluster.ts';

const project = join(import.meta.dirname, '..');
const release = 'bookworm';
const readyMs = 20_000;
/** Over a slow line. */
const fetchMs = 600_000;

export interface FreshDebian extends AsyncDisposable {
  /** Its files, as the computer sees them. */
  readonly root: string;
  /** Name of its network namespace, which has nothing but a loopback. */
  readonly netns: string;
  /** Runs a command line as root's shell would, and gives what it printed. Over the computer's network if it has to fetch something. */
  shell(line: string, network?: 'its own' | "the computer's", timeoutMs?: number): Promise<string>;
}

/** What it needs of this computer. */
export const freshDebianPrograms = ['mmdebstrap', 'unshare', 'nsenter', 'ip', 'flock'];

/** `shared`: folders of the computer that are to be seen in there, read-only, under the same path. */
export async function openFreshDebian(netns: string, shared: readonly string[] = []): Promise<FreshDebian> {
  const kept = join(project, '.factory/debian');
  const base = await debianBase(kept);
  const archives = join(kept, 'archives');
  await mkdir(join(archives, 'partial'), { recursive: true });
  await using undo = new AsyncDisposableStack();
  const dir = await mkdtemp(join(tmpdir(), 'cf-debian-'));
  undo.defer(() => rm(dir, { recursive: true, force: true }));
  undo.defer(() => removeNamespace(netns, systemClock));
  await makeNamespace(netns);
  const pid = await boot(netns, [base, dir, archives, netns, ...shared]);
  const root = `/proc/${pid}/root`;
  const owned = undo.move();
  return {
    root,
    netns,
    async shell(line, network = 'its own', timeoutMs = fetchMs) {
      const namespaces = ['--mount', '--uts', '--ipc', '--pid', ...(network === 'its own' ? ['--net'] : [])];
      const enter = ['--target', String(pid), ...namespaces, '--root', '--wd'];
      return await must(run('nsenter', [...enter, 'env', '-i', ...environment, 'bash', '-c', line], {}, timeoutMs));
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** As of root's login. */
const environment = ['HOME=/root', 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', 'LC_ALL=C'];

/** What a fresh installation has, unpacked once. */
async function debianBase(kept: string): Promise<string> {
  const base = join(kept, release);
  if (existsSync(base)) return base;
  await mkdir(kept, { recursive: true });
  const making = await mkdtemp(join(kept, 'making-'));
  try {
    // Written without waiting for the disk: nobody misses it after a power cut.
    const quick = '--dpkgopt=force-unsafe-io';
    const sources = ['/etc/apt/sources.list', '/etc/apt/sources.list.d/debian.sources'].filter((file) =>
      existsSync(file),
    );
    const make = ['mmdebstrap', '--mode=root', '--variant=important', quick, release, making, ...sources];
    // What it mounts in there is nowhere else, and goes with it: nothing of the computer is below what is removed then.
    await must(run('unshare', ['--mount', '--propagation', 'private', ...make], {}, fetchMs));
    await rename(making, base);
  } finally {
    await rm(making, { recursive: true, force: true });
  }
  return base;
}

/**
 * Process 1. Arguments: base, directory for what is written, archives of apt, host name, shared folders. Control groups and /dev/kvm of the
 * computer stay hidden. Says "ready" when the host is as it is to be.
 */
const init = `
base=$1 dir=$2 archives=$3 name=$4
shift 4
hostname "$name"
mkdir "$dir/upper" "$dir/work" "$dir/root"
mount -t overlay -o "lowerdir=$base,upperdir=$dir/upper,workdir=$dir/work" overlay "$dir/root"
cd "$dir/root"
cp --remove-destination /etc/resolv.conf etc/resolv.conf
echo "127.0.0.1 localhost $name" >etc/hosts
mount -t proc proc proc
mount -t sysfs -o ro sysfs sys
mount -t tmpfs -o mode=755 tmpfs run
mkdir run/lock
mount -t tmpfs -o mode=755 tmpfs dev
mkdir dev/pts dev/shm dev/net
mount -t devpts -o newinstance,ptmxmode=0666,mode=620,gid=5 devpts dev/pts
mount -t tmpfs -o mode=1777 tmpfs dev/shm
ln -s pts/ptmx dev/ptmx
for link in fd: stdin:/0 stdout:/1 stderr:/2; do ln -s "/proc/self/fd\${link#*:}" "dev/\${link%%:*}"; done
for node in null:1:3 zero:1:5 full:1:7 random:1:8 urandom:1:9 tty:5:0 net/tun:10:200; do
  numbers=\${node#*:}
  mknod -m 666 "dev/\${node%%:*}" c "\${numbers%%:*}" "\${numbers#*:}"
done
mount --bind "$archives" var/cache/apt/archives
for folder; do
  mkdir -p ".$folder"
  mount --bind "$folder" ".$folder"
  mount -o remount,bind,ro ".$folder"
done
mkdir -p mnt/computer
pivot_root . mnt/computer
exec chroot . /bin/sh -ec 'umount -l /mnt/computer; rmdir /mnt/computer; echo ready; exec >/dev/null 2>&1; sleep infinity & while :; do wait; done'`;

/** Gives the pid of process 1. */
async function boot(netns: string, args: readonly string[]): Promise<number> {
  const unshare = [
    'unshare',
    '--mount',
    '--uts',
    '--ipc',
    '--pid',
    '--propagation',
    'private',
    '--fork',
    '--kill-child=KILL',
  ];
  const command = [`--net=/run/netns/${netns}`, ...unshare, '/bin/sh', '-ec', init, 'sh', ...args];
  const parent = spawn('nsenter', command, { cwd: '/', stdio: ['ignore', 'pipe', 'pipe'] });
  const said: string[] = [];
  for (const stream of [parent.stdout, parent.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => said.push(text));
  const failed = once(parent, 'exit').then(([code]) => {
    throw new Error(`The fresh Debian ended with ${code}: ${said.join('')}`);
  });
  // Ends one day, when the namespace is removed: not a failure of anything that waits then.
  failed.catch(() => undefined);
  const deadline = AbortSignal.timeout(readyMs);
  while (!said.join('').includes('ready\n')) await Promise.race([systemClock.sleep(20, deadline), failed]);
  return Number(await readFile(`/proc/${parent.pid}/task/${parent.pid}/children`, 'utf8'));
}
