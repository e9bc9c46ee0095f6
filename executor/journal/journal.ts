/**
 * What an executor must remember through kill -9 of its worker, one SQLite file per host. Everything is written before it is acted
 * upon. The file is locked for as long as the journal is open, so that two workers can never drive the machines of one host.
 *
 * A commit is not forced to the disk (synchronous = NORMAL): the kernel keeps it through the death of any process. A power cut may lose the
 * last ones, but it also ends every domain and the executor's life, after which the tasks in here are void.
 */
import { chmodSync, closeSync, existsSync, mkdirSync, openSync } from 'node:fs';
import { dirname } from 'node:path';
import { DatabaseSync, type SQLOutputValue, type StatementSync } from 'node:sqlite';
import type { DiskOrder, OperationReport, SnapshotResult } from '#lib/api/messages.ts';
import type { TaskInfo, TaskStatus } from '#mesos/types.ts';
import { steps } from './schema.ts';

/** Operations that were acknowledged are remembered to recognise a late repeat; this many of them. */
const rememberedOperations = 1000;

export interface TaskRow {
  readonly taskId: string;
  readonly info: TaskInfo;
  /** The machine's state; undefined for a task that is no machine. */
  readonly state: unknown;
  /** The terminal update was made. */
  readonly ended: boolean;
}

/** One step of one task: all of it is stored, or none. */
export interface TaskChange {
  readonly taskId: string;
  readonly state?: unknown;
  readonly updates?: readonly TaskStatus[];
  readonly operations?: readonly OperationReport[];
  readonly ended?: boolean;
}

export class JournalBusyError extends Error {}

export class Journal implements Disposable {
  readonly #db: DatabaseSync;
  readonly #incarnation: string;
  readonly #statements = new Map<string, StatementSync>();

  /**
   * Opens the journal and forgets the tasks of earlier executors: Mesos has declared them ended, their domains show in the inventory
   * and are adopted or cleaned up by order. `incarnation` names one life of the Mesos executor; workers of one life share it.
   * Throws JournalBusyError while another worker has it open.
   */
  constructor(file: string, incarnation: string) {
    mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
    keepPrivate(file);
    this.#incarnation = incarnation;
    this.#db = new DatabaseSync(file, { timeout: 0 });
    try {
      this.#db.exec('PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL');
      this.#transaction(() => this.#migrate());
      this.#transaction(() => this.#forgetOthers());
    } catch (cause) {
      this.#db.close();
      if (!(cause instanceof Error && /database is locked/.test(cause.message))) throw cause;
      throw new JournalBusyError(`The journal ${file} is in use by another worker on this host`, { cause });
    }
  }

  [Symbol.dispose](): void {
    this.#statements.clear();
    this.#db.close();
  }

  /** Tasks of this executor, in no particular order. */
  tasks(): TaskRow[] {
    return this.#sql('SELECT task_id, info, state, ended FROM tasks')
      .all()
      .map((row) => ({
        taskId: String(row.task_id),
        info: JSON.parse(String(row.info)) as TaskInfo,
        state: row.state === null ? undefined : JSON.parse(String(row.state)),
        ended: row.ended === 1,
      }));
  }

  /** True if the task was ever accepted and its end is not acknowledged yet. */
  has(taskId: string): boolean {
    return this.#sql('SELECT 1 FROM tasks WHERE task_id = ?').get(taskId) !== undefined;
  }

  /**
   * Stores a launched task with its first update, and forgets the task that it replaces. Before this returns nothing may be done about
   * it.
   */
  accept(info: TaskInfo, change: TaskChange, replaces?: string): void {
    this.#transaction(() => {
      if (replaces !== undefined) this.#forget(replaces);
      this.#sql('INSERT INTO tasks (task_id, incarnation, info) VALUES (?, ?, ?)').run(
        change.taskId,
        this.#incarnation,
        JSON.stringify(info),
      );
      this.#write(change);
    });
  }

  save(change: TaskChange): void {
    this.#transaction(() => this.#write(change));
  }

  /** The agent has the update. With the last one of an ended task the task is forgotten. */
  acknowledge(taskId: string, uuid: string): void {
    this.#transaction(() => {
      this.#sql('DELETE FROM updates WHERE task_id = ? AND uuid = ?').run(taskId, uuid);
      this.#sql('UPDATE tasks SET acknowledged = 1 WHERE task_id = ?').run(taskId);
      this.#sql(
        'DELETE FROM tasks WHERE task_id = ?1 AND ended = 1 AND NOT EXISTS (SELECT 1 FROM updates WHERE task_id = ?1)',
      ).run(taskId);
    });
  }

  /** What SUBSCRIBE has to repeat. */
  unacknowledged(): { tasks: TaskInfo[]; updates: TaskStatus[] } {
    const tasks = this.#sql('SELECT info FROM tasks WHERE acknowledged = 0').all();
    const updates = this.#sql('SELECT status FROM updates ORDER BY number').all();
    return {
      tasks: tasks.map((row) => JSON.parse(String(row.info)) as TaskInfo),
      updates: updates.map((row) => JSON.parse(String(row.status)) as TaskStatus),
    };
  }

  /** Remembers an order. Gives what is known of it: the report itself if it is new. */
  order(report: OperationReport): OperationReport {
    this.#sql(
      `INSERT INTO operations (id, uid, state, message) VALUES (?, ?, ?, ?)
       ON CONFLICT (id) DO UPDATE SET acknowledged = 0`,
    ).run(report.id, report.uid, report.state, report.message);
    return toReport(this.#sql('SELECT id, uid, state, message, result FROM operations WHERE id = ?').get(report.id)!);
  }

  /** Remembers an order about a disk until it is finished; one that is known keeps its deadline. */
  orderDisk(order: DiskOrder, deadline: number): void {
    this.#sql('INSERT INTO disk_orders VALUES (?, ?, ?) ON CONFLICT (id) DO NOTHING').run(
      order.id,
      JSON.stringify(order),
      deadline,
    );
  }

  /** Also those whose report was made before their traces were removed. */
  diskOrders(): { order: DiskOrder; deadline: number; report: OperationReport | undefined }[] {
    return this.#sql('SELECT id, content, deadline FROM disk_orders')
      .all()
      .map(({ id, content, deadline }) => {
        const row = this.#sql('SELECT id, uid, state, message, result FROM operations WHERE id = ?').get(String(id));
        const order = JSON.parse(String(content)) as DiskOrder;
        return { order, deadline: Number(deadline), report: row && toReport(row) };
      });
  }

  forgetDiskOrder(id: string): void {
    this.#sql('DELETE FROM disk_orders WHERE id = ?').run(id);
  }

  /** To be called before the guest is told. */
  freezes(uid: string): void {
    this.#sql('INSERT INTO frozen VALUES (?) ON CONFLICT (uid) DO NOTHING').run(uid);
  }

  hasThawed(uid: string): void {
    this.#sql('DELETE FROM frozen WHERE uid = ?').run(uid);
  }

  /** uids of machines whose guests may be frozen. */
  frozen(): readonly string[] {
    return this.#sql('SELECT uid FROM frozen')
      .all()
      .map(({ uid }) => String(uid));
  }

  /** Stores the end of an operation that belongs to no task. */
  finish(report: OperationReport): void {
    this.#transaction(() => this.#writeOperations([report]));
  }

  operations(): OperationReport[] {
    return this.#sql('SELECT id, uid, state, message, result FROM operations WHERE acknowledged = 0 ORDER BY number')
      .all()
      .map(toReport);
  }

  /** Operations that are done and stored by the cluster server. */
  acknowledgeOperations(ids: readonly string[]): void {
    if (ids.length === 0) return;
    this.#transaction(() => {
      const acknowledge = this.#sql(`UPDATE operations SET acknowledged = 1 WHERE id = ? AND state <> 'InProgress'`);
      for (const id of ids) acknowledge.run(id);
      this.#sql(
        `DELETE FROM operations WHERE acknowledged = 1 AND number <= (
           SELECT number FROM operations WHERE acknowledged = 1 ORDER BY number DESC LIMIT 1 OFFSET ${rememberedOperations})`,
      ).run();
    });
  }

  #write(change: TaskChange): void {
    const { taskId, state, updates = [], operations = [], ended = false } = change;
    // A driver may finish its last step after another attempt has taken its place: that step has nobody to report to.
    if (!this.has(taskId)) return;
    if (state !== undefined)
      this.#sql('UPDATE tasks SET state = ? WHERE task_id = ?').run(JSON.stringify(state), taskId);
    if (ended) this.#sql('UPDATE tasks SET ended = 1 WHERE task_id = ?').run(taskId);
    for (const status of updates) {
      this.#sql('INSERT INTO updates (task_id, uuid, status) VALUES (?, ?, ?)').run(
        taskId,
        status.uuid ?? '',
        JSON.stringify(status),
      );
    }
    this.#writeOperations(operations);
  }

  #writeOperations(operations: readonly OperationReport[]): void {
    for (const { id, uid, state, message, result } of operations) {
      this.#sql(
        `INSERT INTO operations (id, uid, state, message, result) VALUES (?, ?, ?, ?, ?)
         ON CONFLICT (id) DO UPDATE SET state = excluded.state, message = excluded.message, result = excluded.result`,
      ).run(id, uid, state, message, result === undefined ? null : JSON.stringify(result));
    }
  }

  #forget(taskId: string): void {
    this.#sql('DELETE FROM updates WHERE task_id = ?').run(taskId);
    this.#sql('DELETE FROM tasks WHERE task_id = ?').run(taskId);
  }

  #forgetOthers(): void {
    const others = this.#sql('SELECT task_id FROM tasks WHERE incarnation <> ?').all(this.#incarnation);
    for (const row of others) this.#forget(String(row.task_id));
    // Nobody drives them any more. Those of this life have their machine's state to be resumed from.
    if (others.length > 0 || !this.#isSameLife()) {
      this.#sql(`UPDATE operations SET state = 'Failed', message = ? WHERE state = 'InProgress'`).run(
        'The executor of the host was replaced before the operation was done',
      );
    }
    this.#sql(
      `INSERT INTO facts VALUES ('incarnation', ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value`,
    ).run(this.#incarnation);
  }

  #isSameLife(): boolean {
    return this.#sql(`SELECT value FROM facts WHERE name = 'incarnation'`).get()?.value === this.#incarnation;
  }

  #migrate(): void {
    const { user_version: version } = this.#db.prepare('PRAGMA user_version').get() as { user_version: number };
    if (version > steps.length)
      throw new Error(`The journal was written by a newer executor (version ${version}); install that one or a newer`);
    for (const step of steps.slice(version)) this.#db.exec(step);
    this.#db.exec(`PRAGMA user_version = ${steps.length}`);
  }

  #transaction(body: () => void): void {
    this.#db.exec('BEGIN IMMEDIATE');
    try {
      body();
      this.#db.exec('COMMIT');
    } catch (error) {
      if (this.#db.isTransaction) this.#db.exec('ROLLBACK');
      throw error;
    }
  }

  #sql(text: string): StatementSync {
    let statement = this.#statements.get(text);
    if (!statement) {
      statement = this.#db.prepare(text);
      this.#statements.set(text, statement);
    }
    return statement;
  }
}

function toReport(row: Record<string, SQLOutputValue>): OperationReport {
  return {
    id: String(row.id),
    uid: String(row.uid),
    state: row.state as OperationReport['state'],
    message: String(row.message),
    ...(row.result === null ? {} : { result: JSON.parse(String(row.result)) as SnapshotResult }),
  };
}

/** Users' launches are in it, and the directory is open to QEMU's user. SQLite gives the file beside it the same mode. */
function keepPrivate(file: string): void {
  // Never opened if it is there: to close it again would end the lock that this process may have on it.
  if (!existsSync(file)) closeSync(openSync(file, 'wx', 0o600));
  for (const each of [file, `${file}-wal`]) if (existsSync(each)) chmodSync(each, 0o600);
}
