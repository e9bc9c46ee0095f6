import { DatabaseSync, type StatementSync } from 'node:sqlite';
import { messageOf } from '#lib/std/errors.ts';
import { UsageError } from '#lib/std/main.ts';

/**
 * `log` has one row per revision, `cur` what is there now, so that the common list needs no search through history. A row of `log`
 * points at the row it replaced by prev_rev (0: none), which gives watchers the value before. Times are milliseconds since 1970.
 */
const schema = `
  CREATE TABLE IF NOT EXISTS log(
    rev INTEGER PRIMARY KEY, key TEXT NOT NULL, create_rev INTEGER NOT NULL, prev_rev INTEGER NOT NULL,
    deleted INTEGER NOT NULL, value BLOB NOT NULL);
  CREATE INDEX IF NOT EXISTS log_key ON log(key, rev);
  CREATE TABLE IF NOT EXISTS cur(
    key TEXT PRIMARY KEY, rev INTEGER NOT NULL, create_rev INTEGER NOT NULL, expires INTEGER, value BLOB NOT NULL) WITHOUT ROWID;
  CREATE INDEX IF NOT EXISTS cur_expires ON cur(expires) WHERE expires IS NOT NULL;
  CREATE TABLE IF NOT EXISTS meta(name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;`;

const formatVersion = 1n;

/** The newest row of every key at revision @rev, deletions left out. */
const livingAt = `
  FROM log AS l WHERE l.key > @after AND l.key < @end AND l.deleted = 0
   AND l.rev = (SELECT MAX(rev) FROM log AS m WHERE m.key = l.key AND m.rev <= @rev)`;

const sql = {
  begin: 'BEGIN IMMEDIATE',
  commit: 'COMMIT',
  rollback: 'ROLLBACK',
  lastRev: 'SELECT MAX(rev) AS rev FROM log',
  getMeta: 'SELECT value FROM meta WHERE name = ?',
  setMeta: 'INSERT INTO meta(name, value) VALUES(?, ?) ON CONFLICT(name) DO UPDATE SET value = excluded.value',
  get: 'SELECT key, value, create_rev, rev FROM cur WHERE key = ?',
  list: 'SELECT key, value, create_rev, rev FROM cur WHERE key > @after AND key < @end ORDER BY key LIMIT @limit',
  count: 'SELECT COUNT(*) AS n FROM cur WHERE key > @after AND key < @end',
  listAt: `SELECT l.key, l.value, l.create_rev, l.rev ${livingAt} ORDER BY l.key LIMIT @limit`,
  countAt: `SELECT COUNT(*) AS n ${livingAt}`,
  append: 'INSERT INTO log(rev, key, create_rev, prev_rev, deleted, value) VALUES(?, ?, ?, ?, ?, ?)',
  put: `INSERT INTO cur(key, rev, create_rev, expires, value) VALUES(?, ?, ?, ?, ?)
        ON CONFLICT(key) DO UPDATE SET rev = excluded.rev, expires = excluded.expires, value = excluded.value`,
  remove: 'DELETE FROM cur WHERE key = ?',
  expired: 'SELECT key, rev FROM cur WHERE expires <= ? ORDER BY expires LIMIT ?',
  changes: `SELECT l.rev, l.key, l.create_rev, l.deleted, l.value,
                   p.rev AS prev_rev, p.create_rev AS prev_create_rev, p.value AS prev_value
            FROM log AS l LEFT JOIN log AS p ON p.rev = l.prev_rev AND p.deleted = 0
            WHERE l.rev >= @from AND l.key > @after AND l.key < @end ORDER BY l.rev LIMIT @limit`,
  window:
    'SELECT MAX(rev) AS rev FROM (SELECT rev FROM log WHERE rev > @from AND rev <= @to ORDER BY rev LIMIT @limit)',
  // A deletion at the compaction revision itself stays: a watch may still begin there.
  forget: `DELETE FROM log WHERE rev > @from AND rev <= @upTo AND ((deleted = 1 AND rev < @compactRev)
            OR EXISTS (SELECT 1 FROM log AS n WHERE n.key = log.key AND n.rev > log.rev AND n.rev <= @compactRev))`,
} as const;

export type Statements = { readonly [Name in keyof typeof sql]: StatementSync };

export interface SqliteFile extends Disposable {
  readonly run: Statements;
  /** Gives some of the space that deleted rows left back to the file system. Not inside a transaction. */
  shrink(): void;
}

/** Opens the file and keeps it locked. Throws UsageError when it cannot be opened, is in use, or is not ours. */
export function openSqliteFile(file: string): SqliteFile {
  let database: DatabaseSync | undefined;
  try {
    database = new DatabaseSync(file, { timeout: 1000 });
    prepareFile(database);
    const opened = database;
    return {
      run: statements(opened),
      shrink: () => opened.exec('PRAGMA incremental_vacuum(2000)'),
      [Symbol.dispose]: () => opened.close(),
    };
  } catch (error) {
    database?.close();
    if (/database is locked/.test(messageOf(error)))
      throw new UsageError(`The store ${file} is in use by another server: stop that one, or name another file`);
    throw new UsageError(`Cannot open the store ${file}: ${messageOf(error)}`, { cause: error });
  }
}

function prepareFile(database: DatabaseSync): void {
  // auto_vacuum has to come before the first table; EXCLUSIVE before WAL, so that no shared memory file is made.
  database.exec('PRAGMA auto_vacuum = INCREMENTAL; PRAGMA locking_mode = EXCLUSIVE;');
  database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;');
  // The lock is taken by the first write, and kept until the file is closed or the process is gone.
  database.exec(`BEGIN IMMEDIATE; ${schema} COMMIT;`);
  const found = database.prepare('SELECT value FROM meta WHERE name = ?').get('format')?.value;
  if (found === undefined) database.prepare('INSERT INTO meta(name, value) VALUES(?, ?)').run('format', formatVersion);
  else if (BigInt(found as number) !== formatVersion)
    throw new Error(`it has format ${found}, this program reads format ${formatVersion}`);
}

function statements(database: DatabaseSync): Statements {
  const entries = Object.entries(sql).map(([name, text]) => {
    const statement = database.prepare(text);
    statement.setReadBigInts(true);
    return [name, statement] as const;
  });
  return Object.fromEntries(entries) as unknown as Statements;
}
