/**
 * Runs a program over bytes that a stranger wrote (qemu-img, xz) behind walls, so that a fault in it reaches nothing: limits of time,
 * memory and file size; namespaces of its own without network and without sight of other processes; a user who owns nothing. The files
 * that it may use come as open descriptors (3, 4, ...): it needs no right to any folder, and no path of ours is read as a protocol.
 *
 * As root all walls stand. Without root a namespace of users gives the namespaces, and the program keeps our user. Where a container
 * forbids namespaces, root still changes to the other user; what is left without root are the limits. `wallsHere` says which.
 */
import { spawn } from 'node:child_process';

export interface ConfinedOptions {
  /** Become the descriptors 3, 4, ... of the program. */
  readonly files: readonly { readonly fd: number }[];
  /** In place of nothing at its input, and of the pipe whose end is `Confined.stdout`. */
  readonly stdin?: { readonly fd: number };
  readonly stdout?: { readonly fd: number };
  /** Wall clock. The limit of CPU time is the same. */
  readonly deadlineMs: number;
  /** The largest file that it may write. */
  readonly fileBytes: number;
  readonly signal?: AbortSignal;
}

export interface Confined {
  /** Exit status; undefined if it was ended by a signal: a limit, the deadline, an abort. */
  readonly status: number | undefined;
  readonly stdout: string;
  readonly stderr: string;
}

export type Walls = 'all' | 'namespaces' | 'user' | 'limits';

/** Debian's nobody. In its own namespace of processes it cannot see what else runs as nobody. */
export const confinedUser = 65_534;
const addressSpaceBytes = 2 ** 30;
/**
 * What a thread takes of it. On a busy host qemu-img has up to 64 threads, and ends where it cannot have one more: with the usual 8 MiB of
 * stack, and 64 MiB for the memory of each, fewer than that would fill it.
 */
const stackBytes = 2 ** 20;
const oneHeap = { MALLOC_ARENA_MAX: '1' } as const;
const outputBytesMax = 2 ** 20;
const probeMs = 10_000;

const namespaces = ['--net', '--ipc', '--pid', '--fork', '--kill-child', '--mount-proc', '--'];
const changeUser = ['setpriv', `--reuid=${confinedUser}`, `--regid=${confinedUser}`, '--clear-groups'];
// A change of user clears the parent-death signal that unshare set: without it the deadline would end unshare alone.
const noPrivileges = ['--no-new-privs', '--inh-caps=-all', '--pdeathsig=KILL', '--'];
const commands: Readonly<Record<Walls, readonly string[]>> = {
  all: ['unshare', ...namespaces, ...changeUser, '--bounding-set=-all', ...noPrivileges],
  namespaces: ['unshare', '--user', ...namespaces, 'setpriv', ...noPrivileges],
  user: [...changeUser, ...noPrivileges],
  limits: [],
};

let found: Promise<Walls> | undefined;

/** The most that this host permits: tried once. */
export function wallsHere(): Promise<Walls> {
  found ??= tryWalls();
  return found;
}

async function tryWalls(): Promise<Walls> {
  const isRoot = process.getuid?.() === 0;
  for (const walls of isRoot ? (['all', 'user'] as const) : (['namespaces'] as const)) {
    const options = { files: [], deadlineMs: probeMs, fileBytes: 0 };
    const { status } = await run([...commands[walls], 'true'], options).catch(() => ({ status: undefined }));
    if (status === 0) return walls;
  }
  return 'limits';
}

/** Whether the program runs as confinedUser: what it is to write must be theirs then. */
export async function changesUser(): Promise<boolean> {
  const walls = await wallsHere();
  return walls === 'all' || walls === 'user';
}

/** Rejects if it cannot be started at all, or with the signal's reason. Output beyond a bound ends the program. */
export async function runConfined(
  program: string,
  args: readonly string[],
  options: ConfinedOptions,
): Promise<Confined> {
  return await run([...commands[await wallsHere()], program, ...args], options);
}

function run(command: readonly string[], options: ConfinedOptions): Promise<Confined> {
  const { deadlineMs, fileBytes, files, stdin, stdout: output, signal } = options;
  const limits = [
    `--as=${addressSpaceBytes}`,
    `--stack=${stackBytes}`,
    `--cpu=${Math.ceil(deadlineMs / 1000)}`,
    `--fsize=${fileBytes}`,
    '--nofile=64',
    '--core=0',
  ];
  return new Promise((resolve, reject) => {
    const child = spawn('prlimit', [...limits, '--', ...command], {
      cwd: '/',
      // Nothing of our environment: no proxy, no library path, no token is this program's business.
      env: { PATH: '/usr/bin:/bin:/usr/sbin:/sbin', LC_ALL: 'C', ...oneHeap },
      stdio: [stdin?.fd ?? 'ignore', output?.fd ?? 'pipe', 'pipe', ...files.map(({ fd }) => fd)],
      timeout: deadlineMs,
      killSignal: 'SIGKILL',
      ...(signal ? { signal } : {}),
    });
    let stdout = '';
    let stderr = '';
    const within = (text: string): string => {
      if (text.length > outputBytesMax) child.kill('SIGKILL');
      return text.slice(0, outputBytesMax);
    };
    child.stdout?.setEncoding('utf8').on('data', (chunk: string) => {
      stdout = within(stdout + chunk);
    });
    child.stderr!.setEncoding('utf8').on('data', (chunk: string) => {
      stderr = within(stderr + chunk);
    });
    child.on('error', (error) => reject(signal?.aborted ? signal.reason : error));
    child.on('close', (status) => resolve({ status: status ?? undefined, stdout, stderr }));
  });
}
