/** Runs the host's own tools: no shell, a deadline, an end with the executor's own words when they fail. */
import { execFile } from 'node:child_process';

const outputBytesMax = 1024 * 1024;
const commandMs = 15_000;

export interface CommandOptions {
  /** Name of the network namespace to run in (a pretended host); the executor's own unless given. */
  readonly netns?: string | undefined;
  readonly input?: string;
  readonly deadlineMs?: number;
  /** Exit codes that are an answer, not a failure. 0 alone unless given. */
  readonly answers?: readonly number[];
}

/** Resolves with standard output. Rejects with the command line and what it said on standard error. */
export function runCommand(program: string, args: readonly string[], options: CommandOptions = {}): Promise<string> {
  const { netns, input, deadlineMs = commandMs, answers = [] } = options;
  const [file, ...all] = netns === undefined ? [program, ...args] : ['ip', 'netns', 'exec', netns, program, ...args];
  const env = { PATH: `${process.env.PATH ?? ''}:/usr/sbin:/sbin`, LC_ALL: 'C' };
  return new Promise((resolve, reject) => {
    const child = execFile(
      file!,
      all,
      { timeout: deadlineMs, killSignal: 'SIGKILL', maxBuffer: outputBytesMax, env },
      (error, stdout, stderr) => {
        if (!error || answers.includes(Number(error.code))) return resolve(stdout);
        const why = error.killed ? `no end within ${deadlineMs} ms` : stderr.trim() || error.message;
        reject(new Error(`${program} ${args.join(' ')}: ${why}`, { cause: error }));
      },
    );
    // A program that ends without reading its input says why on standard error.
    child.stdin?.on('error', () => undefined);
    child.stdin?.end(input ?? '');
  });
}
