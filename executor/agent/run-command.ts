/**
 * Runs a command in a guest by its agent: no terminal, nothing typed. The agent keeps what the command prints until it has ended, and hands it
 * over as a whole; an answer that is too long for libvirt takes the agent away until it opens its channel anew. So what is printed is cut in
 * the guest, by its own shell. Windows has none: there a command must not print more than a few megabytes.
 */
import type { ExecRequest, ExecResult } from '#lib/api/exec.ts';
import type { Clock } from '#lib/std/clock.ts';
import { type Hypervisor, MachineError } from '../hypervisor.ts';

/** Of each of the two streams, what is given. */
export const outputBytesMax = 2 ** 20;
const stepMs = 10_000;

/**
 * $1: bytes of each stream; the rest is the command, word by word. Standard output goes through one `head`, standard error through another,
 * and the exit code past both. Who prints more than that is ended by SIGPIPE.
 */
const script = `
n=$1
shift
exec 3>&1 4>&2
code=$(
  exec 5>&1
  { { "$@" 3>&- 4>&- 5>&-; echo "$?" >&5; } 2>&1 >&6 6>&- | head -c "$n" >&4; } 6>&1 | head -c "$n" >&3
)
exit "\${code:-1}"
`;
const firstLookMs = 50;
const lookEveryMs = 500;

export interface RunDeps {
  readonly hypervisor: Pick<Hypervisor, 'agent'>;
  readonly clock: Clock;
  /** Aborts when nobody waits any more. The command goes on: the agent cannot end it. */
  readonly signal: AbortSignal;
}

/** MachineError if the agent does not run it, or if it has not ended in time. */
export async function runCommand(
  deps: RunDeps,
  uid: string,
  { command, timeoutSeconds }: ExecRequest,
): Promise<ExecResult> {
  const { hypervisor, clock, signal } = deps;
  const [path, ...arg] = await wordsFor(hypervisor, uid, command);
  const run = { execute: 'guest-exec', arguments: { path, arg, 'capture-output': true } };
  const pid = Number(fieldsOf(await hypervisor.agent(uid, run, stepMs)).pid);
  if (!Number.isSafeInteger(pid)) throw new MachineError('The guest agent does not tell which process it started');
  const deadline = clock.monotonic() + timeoutSeconds * 1000;
  for (let waitMs = firstLookMs; ; waitMs = Math.min(2 * waitMs, lookEveryMs)) {
    const status = fieldsOf(await hypervisor.agent(uid, { execute: 'guest-exec-status', arguments: { pid } }, stepMs));
    if (status.exited === true) return resultOf(status);
    if (clock.monotonic() > deadline)
      throw new MachineError(
        `The command has not ended within ${timeoutSeconds} s; it goes on in the machine as process ${pid}`,
      );
    await clock.sleep(waitMs, signal);
  }
}

/** One byte more than is given tells that there was more. */
async function wordsFor(
  hypervisor: Pick<Hypervisor, 'agent'>,
  uid: string,
  command: readonly string[],
): Promise<readonly string[]> {
  const os = fieldsOf(await hypervisor.agent(uid, { execute: 'guest-get-osinfo' }, stepMs));
  return os.id === 'mswindows' ? command : ['sh', '-c', script, 'sh', String(outputBytesMax + 1), ...command];
}

/** Whatever the agent of a guest may send. */
function fieldsOf(answer: unknown): Readonly<Record<string, unknown>> {
  return typeof answer === 'object' && answer !== null ? (answer as Record<string, unknown>) : {};
}

function resultOf(status: Readonly<Record<string, unknown>>): ExecResult {
  const [stdout, stderr] = [decode(status['out-data']), decode(status['err-data'])];
  const cut = [stdout, stderr].some(({ length }) => length > outputBytesMax);
  const { signal, exitcode } = status;
  const code = typeof signal === 'number' ? 128 + signal : exitcode;
  return {
    apiVersion: 'computefactory.io/v1alpha1',
    kind: 'ExecResult',
    // As a shell has it: killed by a signal is 128 and its number, and what cannot be told 255.
    exitCode: typeof code === 'number' && Number.isInteger(code) ? code : 255,
    stdout: stdout.subarray(0, outputBytesMax).toString('base64'),
    stderr: stderr.subarray(0, outputBytesMax).toString('base64'),
    truncated: cut || status['out-truncated'] === true || status['err-truncated'] === true,
  };
}

function decode(data: unknown): Buffer {
  return typeof data === 'string' ? Buffer.from(data, 'base64') : Buffer.alloc(0);
}
