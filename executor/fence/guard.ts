/**
 * What cuts the power of machines when their time is over, whatever has become of the executor. Real (process-guard.ts: a process of its
 * own) and imitated. Who sets the times, and when, is fences.ts.
 */
export interface Watch {
  /** Of the machine. */
  readonly uid: string;
  readonly attempt: number;
  /** spec.disconnect.selfFenceAfter as it was launched with. */
  readonly afterMs: number;
  /** From then on nothing of the machine may run: milliseconds as `now` counts them. */
  readonly deadlineMs: number;
}

export interface Table {
  /** Grows with every table. */
  readonly number: number;
  readonly watches: readonly Watch[];
}

export interface Guard {
  /** Milliseconds since the host was booted, time asleep included; no clock that somebody may set. */
  now(): number;
  /** The last table of this boot, also if an executor before this one made it. */
  read(): Table | undefined;
  /** In the place of the one before; kept through the death of every process. */
  write(table: Table): void;
  /** The number of the table that is watched over. Undefined if nobody watches now; then somebody is started. */
  look(): Promise<number | undefined>;
  /** Cuts the power now; nothing if there is none. */
  cut(uid: string): Promise<void>;
}
