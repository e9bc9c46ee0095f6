/** The executor as the program that an agent starts: supervisor and worker, on a world's host. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import type { World } from './world.ts';

export interface Program {
  readonly process: ChildProcess;
  /** What it and its workers have said so far. */
  said(): string;
}

/** `main`: another installation's. Killed when the test ends. */
export function startProgram(
  { config, configFile, agent }: World,
  {
    main = join(import.meta.dirname, '../main.ts'),
    environment = {},
  }: { main?: string; environment?: NodeJS.ProcessEnv } = {},
): Program {
  const program = spawn(process.execPath, [main], {
    env: { PATH: process.env.PATH, CF_EXECUTOR_CONFIG: configFile, ...agent.variables(config.root), ...environment },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let said = '';
  program.stderr.setEncoding('utf8').on('data', (text: string) => {
    said += text;
  });
  onTestFinished(async () => await endProgram(program));
  return { process: program, said: () => said };
}

export async function endProgram(program: ChildProcess): Promise<void> {
  if (program.exitCode !== null || program.signalCode !== null) return;
  program.kill('SIGKILL');
  await once(program, 'exit');
}

/** By the kernel's list. */
export function childrenOf({ pid }: ChildProcess): readonly number[] {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim();
  return children === '' ? [] : children.split(' ').map(Number);
}

/** The worker under a supervisor. */
export function workerOf(program: ChildProcess): number | undefined {
  return childrenOf(program)[0];
}

export function domains({ config }: World): { uid: string; power: string; bootedAt: number }[] {
  const directory = join(config.root, 'sim', 'domains');
  return readdirSync(directory)
    .filter((name) => name.endsWith('.json'))
    .map((name) => ({ uid: name.slice(0, -5), ...JSON.parse(readFileSync(join(directory, name), 'utf8')) }));
}
