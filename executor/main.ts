/** The program that the Mesos agent starts: the supervisor of the worker that does the work. */
import { join } from 'node:path';
import { answer, becomeSuccessor, installedProgram, question, requireSuccessor, takeLife } from './renewal.ts';
import { supervise } from './supervisor.ts';
import { executorVersion } from './version.ts';

const usage = `Usage: factory-executor [--check]

Started by a Mesos agent for the machines of one host. Reads the file named by CF_EXECUTOR_CONFIG (default
/etc/computefactory/executor.json).

  --check   Say what of this host is ready for machines and what is not, and end; exit code 1 if they cannot run
`;

const [flag, ...more] = process.argv.slice(2);
if (flag === '--help') {
  process.stdout.write(usage);
  process.exit(0);
}
if (flag === '--check' && more.length === 0) {
  const { checkHost } = await import('./check/main.ts');
  process.exit(await checkHost());
}
if (flag === question && more.length === 0) {
  process.stdout.write(`${answer}\n`);
  process.exit(0);
}
if (flag !== undefined) {
  process.stderr.write(`Cannot use ${process.argv.slice(2).join(' ')}\n${usage}`);
  process.exit(2);
}

const controller = new AbortController();
for (const name of ['SIGTERM', 'SIGINT'] as const) process.on(name, () => controller.abort());

const life = takeLife(process.env);
const { incarnation, token, environment } = life;
const ownProgram = installedProgram();

// Not the common logger: nothing may be imported here that could break.
function say(message: string, fields: object): void {
  const line = { level: 'warn', time: new Date().toISOString(), program: 'factory-executor', message, ...fields };
  process.stderr.write(`${JSON.stringify(line)}\n`);
}

async function renew(signal: AbortSignal): Promise<void> {
  try {
    if (installedProgram() === ownProgram) return;
    await requireSuccessor(life, signal);
    signal.throwIfAborted();
    say('The supervisor becomes the program that is installed now', { pid: process.pid });
    becomeSuccessor(life);
  } catch (error) {
    if (signal.aborted) return;
    say('The installed program cannot take over: the supervisor stays the old one', { why: String(error) });
  }
}

await supervise(
  {
    command: process.execPath,
    arguments: [join(import.meta.dirname, 'worker.ts')],
    environment,
    orders: { incarnation, version: executorVersion, ...(token ? { token } : {}) },
    firstDelayMs: 200,
    maxDelayMs: 10_000,
    settledMs: 60_000,
    say,
    renew,
  },
  controller.signal,
);
