/** Real Gluster servers in namespaces, joined by a bridge in one more. What they have is in one temporary directory. */
import { execFile, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync } from 'node:fs';
import { mkdtempDisposable } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { vi } from 'vitest';
import { whyNot } from '#test/requires.ts';

const run = promisify(execFile);
const addressOf = (n: number): string => `192.0.2.${n}`;
const commandMs = 60_000;
/** glusterd asks a Python program at its start. */
const startMs = 120_000;

export interface Gluster extends AsyncDisposable {
  readonly directory: string;
  readonly servers: readonly string[];
  /** Gluster's command line on the first server. */
  readonly command: readonly string[];
  /** Network namespace of a server, which is a host as well. */
  netns(n: number): string;
  /** A volume of one brick on each of these servers. */
  makeVolume(name: string, ...servers: number[]): Promise<void>;
  /** Of one brick, in the memory of that server, and no larger. */
  makeSmallVolume(name: string, n: number, mebibytes: number): Promise<void>;
  /** SIGKILL to the brick of the volume on that server. */
  killBrick(name: string, n: number): Promise<void>;
  startBricks(name: string): Promise<void>;
  set(name: string, option: string, value: string): Promise<void>;
  /** Of a file that is split the copy of this server is right. */
  resolve(name: string, file: string, n: number): Promise<void>;
  /** Cuts the server off from the others, or joins it to them again. */
  join(n: number, isJoined: boolean): Promise<void>;
}

export function whyNoGluster(): string | undefined {
  return whyNot(['glusterd', 'glusterfs', 'gluster', 'ip', 'nsenter', 'unshare', 'qemu-img', 'umount'], { root: true });
}

export async function openGluster(count: number): Promise<Gluster> {
  await using stack = new AsyncDisposableStack();
  const { path: directory } = stack.use(await mkdtempDisposable(join(tmpdir(), 'cf-')));
  const name = `cft-${randomBytes(3).toString('hex')}`;
  const netns = (n: number): string => `${name}-s${n}`;
  const wire = await makeNetns(stack, `${name}-w`);
  await run('ip', ['-n', wire, 'link', 'add', 'wire', 'type', 'bridge']);
  await run('ip', ['-n', wire, 'link', 'set', 'wire', 'up']);
  for (let n = 1; n <= count; n++) await startServer(stack, wire, netns(n), n, join(directory, String(n)));
  const patiently = { timeout: startMs, interval: 500 };
  // Asked earlier it leaves the question lying for two minutes.
  for (let n = 1; n <= count; n++) await vi.waitFor(() => requireReady(join(directory, String(n))), patiently);
  const first = await pidOf(netns(1), /^glusterd /);
  // With its processes: Gluster's command looks itself up in /proc.
  const command = ['nsenter', `--target=${first}`, '--mount', '--net', '--pid', 'gluster'];
  const gluster = async (...args: string[]): Promise<void> => {
    await run(command[0]!, [...command.slice(1), '--mode=script', ...args], { timeout: commandMs });
  };
  for (let n = 2; n <= count; n++)
    await vi.waitFor(async () => await gluster('peer', 'probe', addressOf(n)), patiently);
  const makeVolume = async (volume: string, ...servers: readonly number[]): Promise<void> => {
    const bricks = servers.map((n) => `${addressOf(n)}:${join(directory, String(n), volume)}`);
    const replicas = bricks.length > 1 ? ['replica', String(bricks.length)] : [];
    await vi.waitFor(async () => {
      try {
        await gluster('volume', 'create', volume, ...replicas, ...bricks, 'force');
      } catch {
        // On a slow machine it may be there although the command was given up.
        await gluster('volume', 'info', volume);
      }
    }, patiently);
    // Refused while another server still has the lock of the command before; with "force" also one that is started starts well.
    await vi.waitFor(async () => await gluster('volume', 'start', volume, 'force'), patiently);
  };
  const stackOfWorld = stack.move();
  return {
    ...{ directory, command, netns },
    servers: Array.from({ length: count }, (_, index) => addressOf(index + 1)),
    makeVolume,
    async makeSmallVolume(volume, n, mebibytes) {
      const brick = join(directory, String(n), volume);
      mkdirSync(brick);
      const server = await pidOf(netns(n), /^glusterd /);
      await run('nsenter', [
        `--target=${server}`,
        '--mount',
        'mount',
        '-t',
        'tmpfs',
        '-o',
        `size=${mebibytes}m`,
        'none',
        brick,
      ]);
      await makeVolume(volume, n);
    },
    async killBrick(volume, n) {
      process.kill(await pidOf(netns(n), new RegExp(`glusterfsd .*--volfile-id ${volume}\\.`)), 'SIGKILL');
    },
    startBricks: async (volume) => await gluster('volume', 'start', volume, 'force'),
    set: async (volume, option, value) => await gluster('volume', 'set', volume, option, value),
    async resolve(volume, file, n) {
      const brick = `${addressOf(n)}:${join(directory, String(n), volume)}`;
      await gluster('volume', 'heal', volume, 'split-brain', 'source-brick', brick, file);
    },
    async join(n, isJoined) {
      await run('ip', ['-n', wire, 'link', 'set', `s${n}`, isJoined ? 'up' : 'down']);
    },
    [Symbol.asyncDispose]: async () => await stackOfWorld.disposeAsync(),
  };
}

async function startServer(
  stack: AsyncDisposableStack,
  wire: string,
  netns: string,
  n: number,
  directory: string,
): Promise<void> {
  for (const part of ['lib', 'log']) mkdirSync(join(directory, part), { recursive: true });
  await makeNetns(stack, netns);
  await run('ip', ['-n', wire, 'link', 'add', `s${n}`, 'type', 'veth', 'peer', 'eth0', 'netns', netns]);
  await run('ip', ['-n', wire, 'link', 'set', `s${n}`, 'master', 'wire', 'up']);
  await run('ip', ['-n', netns, 'link', 'set', 'eth0', 'up']);
  await run('ip', ['-n', netns, 'addr', 'add', `${addressOf(n)}/24`, 'dev', 'eth0']);
  const separate = [
    'unshare',
    '--mount',
    '--pid',
    '--fork',
    '--kill-child=KILL',
    '--mount-proc',
    '--propagation=private',
  ];
  const script = join(import.meta.dirname, 'glusterd.sh');
  spawn('nsenter', [`--net=/run/netns/${netns}`, ...separate, 'sh', script, directory], { stdio: 'ignore' }).on(
    'error',
    (error) => console.error(error),
  );
}

function requireReady(directory: string): void {
  const log = readFileSync(join(directory, 'log/glusterd.log'), 'utf8');
  if (!/Started thread with index \[\{index=1\}\]/.test(log)) throw new Error(`glusterd of ${directory} is not ready`);
}

async function makeNetns(stack: AsyncDisposableStack, netns: string): Promise<string> {
  await run('ip', ['netns', 'add', netns]);
  stack.defer(async () => {
    await vi.waitFor(async () => {
      const pids = await pidsIn(netns);
      for (const pid of pids) process.kill(pid, 'SIGKILL');
      if (pids.length > 0) throw new Error(`${netns} still has processes: ${pids.join(', ')}`);
    }, 20_000);
    await run('ip', ['netns', 'del', netns]);
  });
  await run('ip', ['-n', netns, 'link', 'set', 'lo', 'up']);
  return netns;
}

async function pidsIn(netns: string): Promise<readonly number[]> {
  const { stdout } = await run('ip', ['netns', 'pids', netns]);
  return stdout.split('\n').filter(Boolean).map(Number);
}

async function pidOf(netns: string, command: RegExp): Promise<number> {
  const found = (await pidsIn(netns)).find((pid) => command.test(commandOf(pid)));
  if (found === undefined) throw new Error(`No process ${command} in ${netns}`);
  return found;
}

function commandOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ');
  } catch {
    return ''; // gone meanwhile
  }
}
