/** Makes the directory that an executor runs in and fetches what its command names. */
import { chmodSync, copyFileSync, mkdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import type { CommandInfo, TaskState } from '#mesos/types.ts';

/** Why an executor could not be started, as the agent reports it: the status of its FAILURE and what its tasks become. */
export class LaunchError extends Error {
  readonly status: number;
  readonly state: TaskState;
  readonly reason: string;

  constructor(message: string, verdict: { status: number; state: TaskState; reason: string }, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'LaunchError';
    this.status = verdict.status;
    this.state = verdict.state;
    this.reason = verdict.reason;
  }
}

/** Throws LaunchError with the texts and statuses that were recorded. */
export function prepareSandbox(directory: string, command: CommandInfo | undefined, containerId: string): void {
  const user = command?.user;
  if (user !== undefined && !isUser(user)) {
    throw new LaunchError(
      `Failed to create executor directory '${directory}': Failed to chown directory to '${user}': No such user '${user}'`,
      { status: -1, state: 'TASK_DROPPED', reason: 'REASON_EXECUTOR_TERMINATED' },
    );
  }
  mkdirSync(directory, { recursive: true });
  for (const uri of command?.uris ?? []) fetch(uri, directory, containerId);
}

function isUser(name: string): boolean {
  return readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .some((line) => line.startsWith(`${name}:`));
}

/** Local files only, not unpacked: a local cluster has no need of more, and says so. */
function fetch(uri: NonNullable<CommandInfo['uris']>[number], directory: string, containerId: string): void {
  const path = uri.value.replace(/^file:\/\//, '');
  const target = join(directory, basename(path));
  try {
    if (!path.startsWith('/')) throw new Error(`The local Mesos fetches local files only, not "${uri.value}"`);
    copyFileSync(path, target);
    if (uri.executable) chmodSync(target, 0o755);
  } catch (cause) {
    throw new LaunchError(
      `Failed to launch container: Failed to fetch all URIs for container '${containerId}': exited with status 1`,
      { status: 256, state: 'TASK_FAILED', reason: 'REASON_CONTAINER_LAUNCH_FAILED' },
      cause,
    );
  }
}
