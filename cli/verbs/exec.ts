import type { ExecResult } from '#lib/api/exec.ts';
import { UsageError } from '#lib/std/main.ts';
import { machineNamed, servicePath } from '../machine.ts';
import { connect } from '../session.ts';
import { connectionFlags, connectionHelp, parseFlags, readCount, type Verb } from '../verb.ts';

/** The API server answers each request within a minute. */
const answerMs = 65_000;

export const exec: Verb = {
  name: 'exec',
  summary: 'Run a command inside a machine, by its guest agent',
  help: `Usage: factoryctl exec NAME [flags] -- COMMAND [ARGUMENT...]

Examples:
  factoryctl exec real-0 -n studio-a -- uname -a
  factoryctl exec real-0 -n studio-a --timeout 50 -- sh -c 'df -h | tail -1'

Flags:
      --timeout SECONDS  How long the command may take, 50 at most; 30 if left out. It is not ended, only waited for
${connectionHelp}

No terminal and no input: what it prints is shown when it has ended, 1 MiB of each stream. The exit code is the command's own.
The machine needs QEMU's guest agent.`,
  async run(args, out) {
    const dashes = args.indexOf('--');
    if (dashes < 0)
      throw new UsageError(
        'Write the command behind two dashes: factoryctl exec NAME -- COMMAND. See "factoryctl exec --help".',
      );
    const command = args.slice(dashes + 1);
    if (command.length === 0)
      throw new UsageError('Which command? Write factoryctl exec NAME -- COMMAND. See "factoryctl exec --help".');
    const options = { ...connectionFlags, timeout: { type: 'string' } } as const;
    const { values, positionals } = parseFlags('exec', args.slice(0, dashes), options);
    const name = machineNamed(positionals, 'exec');
    const timeoutSeconds = values.timeout === undefined ? undefined : readCount('timeout', values.timeout);
    const session = connect(values);
    const body = { command, ...(timeoutSeconds === undefined ? {} : { timeoutSeconds }) };
    const result = await session.slowly<ExecResult>(servicePath(session, name, 'exec'), body, answerMs);
    await write(process.stdout, result.stdout);
    await write(process.stderr, result.stderr);
    if (result.truncated) out.error('It printed more than that: the rest is lost.');
    return result.exitCode;
  },
};

function write(stream: NodeJS.WriteStream, base64: string): Promise<void> {
  return new Promise((resolve, reject) => {
    stream.write(Buffer.from(base64, 'base64'), (error) => (error ? reject(error) : resolve()));
  });
}
