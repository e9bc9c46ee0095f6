/** The real programs for tests that kill them: as processes, on ports that the kernel gave. */
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { eventually } from './cluster.ts';

export interface Program extends AsyncDisposable {
  readonly pid: number;
  readonly url: string;
  /** Resolves with the exit code when it has ended; null if by a signal. */
  readonly exited: Promise<number | null>;
  /** Ends it at once and waits until it is gone. */
  kill(signal?: NodeJS.Signals): Promise<void>;
}

async function start(program: 'master' | 'agent', port: number, flags: readonly string[]): Promise<Program> {
  const main = join(import.meta.dirname, '..', program, 'main.ts');
  const child = spawn(process.execPath, [main, '--listen', `127.0.0.1:${port}`, '--log-level', 'warn', ...flags], {
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  const exited = new Promise<number | null>((resolve) => {
    child.once('exit', (code) => resolve(code));
  });
  const url = `http://127.0.0.1:${port}`;
  const kill = async (signal: NodeJS.Signals = 'SIGKILL') => {
    child.kill(signal);
    await exited;
  };
  await eventually(`${program} on ${url}`, () =>
    fetch(`${url}/health`)
      .then((response) => response.ok || undefined)
      .catch(() => undefined),
  );
  return { pid: child.pid!, url, exited, kill, [Symbol.asyncDispose]: () => kill() };
}

export function startMasterProgram(port: number, workDir: string, flags: readonly string[] = []): Promise<Program> {
  return start('master', port, ['--work-dir', workDir, ...flags]);
}

export function startAgentProgram(
  port: number,
  workDir: string,
  master: string,
  flags: readonly string[] = [],
): Promise<Program> {
  const resources = ['--resources', 'cpus:4;mem:4096;disk:10240;ports:[31000-32000]'];
  return start('agent', port, [
    '--work-dir',
    workDir,
    '--master',
    master,
    '--hostname',
    'host1.lab',
    ...resources,
    ...flags,
  ]);
}
