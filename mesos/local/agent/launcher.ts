/** How an agent starts executors: as processes, or as whatever a benchmark puts in their place. */
import type { CommandInfo } from '#mesos/types.ts';

/** A started executor. */
export interface Handle {
  /** With `startTime` it names a process for good; absent if it is none. */
  readonly pid?: number;
  /** Field 22 of /proc/PID/stat: pids are used again, this pair is not. */
  readonly startTime?: string;
  /** The raw wait status, or -1 if nobody can know it. Never rejects. */
  readonly exited: Promise<number>;
  /** Ends it and everything in its process group at once. */
  kill(): void;
}

export interface Launcher {
  /** Starts `command` in the directory `sandbox` with this environment and no other. */
  launch(command: CommandInfo, environment: Readonly<Record<string, string>>, sandbox: string): Handle;
  /** An executor that an earlier agent started, if it still runs. Without this none ever does. */
  adopt?(started: {
    readonly pid?: number | undefined;
    readonly startTime?: string | undefined;
    readonly sandbox: string;
  }): Handle | undefined;
}
