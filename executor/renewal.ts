/**
 * How the supervisor becomes the program that is installed now while it stays the same process, and so the same executor to Mesos: by
 * execve, between two workers. Then there is no child whose end the next program could not see, and nothing open but what the agent gave us.
 * Whoever is killed meanwhile leaves what a supervisor that is killed between two workers has always left.
 *
 * An execve that fails ends the process, and with it every task. So the new program is asked first, as a child, whether it takes over: that
 * it starts at all, and that it takes on what is handed to it. An older one, which knows nothing of this, would forget the life of this
 * executor, and its tasks with it; it does not answer as it should, and the supervisor stays the old one.
 *
 * Like the supervisor it imports nothing that could break.
 */
import { execFile } from 'node:child_process';
import { createHash, randomUUID } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';

/** What a program is asked by, and what one says that takes over. Another number where another handover is needed. */
export const question = '--takes-over';
export const answer = 'takes over 1';
const answerMs = 20_000;
const lifeVariable = 'CF_EXECUTOR_LIFE';
const tokenVariable = 'MESOS_EXECUTOR_AUTHENTICATION_TOKEN';
/** Whatever else a later program is made of: these import it, and differ. */
const sources = ['main.ts', 'supervisor.ts', 'renewal.ts', 'version.ts'];

/** What one supervisor hands to the next. */
export interface Life {
  /** See Orders. */
  readonly incarnation: string;
  readonly token?: string;
  /** For workers: without what is the supervisor's own. */
  readonly environment: NodeJS.ProcessEnv;
}

/** The life that this process has begun or, as a new program, goes on with. Whatever else is started must not find it, so it is taken out. */
export function takeLife(environment: NodeJS.ProcessEnv): Life {
  const { [lifeVariable]: handed = '', [tokenVariable]: token, ...rest } = environment;
  for (const name of [lifeVariable, tokenVariable]) delete environment[name];
  const [, pid, incarnation] = /^(\d+) ([0-9a-f-]{36})$/.exec(handed) ?? [];
  const isOurs = incarnation !== undefined && Number(pid) === process.pid;
  return { incarnation: isOurs ? incarnation : randomUUID(), environment: rest, ...(token ? { token } : {}) };
}

/** Tells programs apart, by what the supervisor is made of. Throws where none is installed. */
export function installedProgram(): string {
  const hash = createHash('sha256');
  for (const name of sources) hash.update(readFileSync(join(import.meta.dirname, name)));
  const { size, mtimeMs } = statSync(process.execPath);
  return hash.update(`${size} ${mtimeMs}`).digest('hex');
}

/** Throws with the reason why the installed program cannot take over. */
export async function requireSuccessor({ environment }: Life, signal: AbortSignal): Promise<void> {
  if (!process.execve) throw new Error(`Node ${process.version} cannot become another program`);
  const limits = { timeout: answerMs, killSignal: 'SIGKILL', signal } as const;
  const ask = promisify(execFile)(process.execPath, [mainProgram(), question], { env: environment, ...limits });
  const { stdout } = await ask;
  if (stdout.trim() !== answer) throw new Error(`It answers ${JSON.stringify(stdout.slice(0, 100))}`);
}

/** Never returns. What is open, but for the first three, is closed; pid and children stay. */
export function becomeSuccessor({ incarnation, token, environment }: Life): never {
  const handed = {
    [lifeVariable]: `${process.pid} ${incarnation}`,
    ...(token === undefined ? {} : { [tokenVariable]: token }),
  };
  const command = [process.execPath, ...process.execArgv, mainProgram()];
  return process.execve!(process.execPath, command, { ...environment, ...handed });
}

function mainProgram(): string {
  return join(import.meta.dirname, 'main.ts');
}
