/**
 * The guardian of a host: `guardian.ts DIRECTORY BOOT-ID`. It cuts the power of machines whose time is over, for as long as the table names
 * them, and does nothing else: no network, no libvirt, no disk. It is nobody's child and in no control group of the executor's, so it lives on
 * when worker, supervisor, agent and libvirtd do not. It ends when there is nothing to watch over any more, or when another has come.
 */
import { appendFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { timestamp } from '#lib/std/clock.ts';
import { identifyProcess, isRunning } from '#lib/std/process-identity.ts';
import { QemuProcesses } from '../processes/qemu.ts';
import type { Table } from './guard.ts';
import { fenceFiles, uptimeMs } from './table.ts';

const everyMs = 500;
/** While something must not run, whoever may have been told to start it before: a guest needs longer than this from its start to its first step. */
const watchfulMs = 100;

const [directory, bootId] = process.argv.slice(2) as [string, string];
const files = fenceFiles(directory, bootId);
const me = identifyProcess(process.pid)!;
const processes = new QemuProcesses();
let table: Table = { number: 0, watches: [] };
let said = 0;

try {
  // The last one to be killed where memory is short.
  writeFileSync('/proc/self/oom_score_adj', '-1000');
} catch {
  // Not allowed here: then it is a process like every other.
}
for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(signal, () => undefined);
files.writeSeen({ ...me, number: 0, lookedMs: uptimeMs() });
look();

function look(): void {
  let isWatchful = false;
  try {
    table = files.readTable() ?? table;
    if (isReplaced()) process.exit(0);
    isWatchful = enforce();
    files.writeSeen({ ...me, number: table.number, lookedMs: uptimeMs() });
    if (table.number > 0 && table.watches.length === 0) leave();
  } catch (error) {
    // A file that cannot be read: what was seen last still holds.
    isWatchful = enforce();
    say(`Goes on with what it knows: ${String(error)}`);
  }
  setTimeout(look, isWatchful ? watchfulMs : everyMs);
}

/** True if there is anything that must not run. */
function enforce(): boolean {
  const nowMs = uptimeMs();
  const over = new Set(table.watches.filter(({ deadlineMs }) => deadlineMs <= nowMs).map(({ uid }) => uid));
  // Also with nothing to do: it learns which process is whose while that can be read.
  for (const { uid, pid } of processes.cut(over)) say(`Machine ${uid} was cut off (process ${pid})`);
  return over.size > 0;
}

function isReplaced(): boolean {
  const seen = files.readSeen();
  return seen !== undefined && (seen.pid !== me.pid || seen.startTime !== me.startTime) && isRunning(seen);
}

function leave(): never {
  rmSync(directory, { recursive: true, force: true });
  process.exit(0);
}

/** At most what fits: a file in memory must not grow for ever. */
function say(what: string): void {
  if (said++ < 1000) appendFileSync(join(directory, 'guardian.log'), `${timestamp(Date.now())} ${what}\n`);
}
