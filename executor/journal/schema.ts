/** Tables of the executor's journal. A change here is a new step at the end of the list; what was published is never edited. */
export const steps = [
  `CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
   -- One row per Mesos task, from before it is acted upon until its terminal update is acknowledged.
   CREATE TABLE tasks (
     task_id TEXT PRIMARY KEY,
     incarnation TEXT NOT NULL,
     info TEXT NOT NULL,
     state TEXT,
     acknowledged INTEGER NOT NULL DEFAULT 0,
     ended INTEGER NOT NULL DEFAULT 0
   ) STRICT;
   -- Status updates the agent has not acknowledged, in the order they were made.
   CREATE TABLE updates (
     number INTEGER PRIMARY KEY AUTOINCREMENT,
     task_id TEXT NOT NULL,
     uuid TEXT NOT NULL,
     status TEXT NOT NULL
   ) STRICT;
   CREATE INDEX updates_of_task ON updates (task_id);
   -- Operations, kept after they are done so that a repeated order is recognised.
   CREATE TABLE operations (
     number INTEGER PRIMARY KEY AUTOINCREMENT,
     id TEXT NOT NULL UNIQUE,
     uid TEXT NOT NULL,
     state TEXT NOT NULL,
     message TEXT NOT NULL,
     acknowledged INTEGER NOT NULL DEFAULT 0
   ) STRICT;`,
  `-- Of a snapshot: what it has become, as JSON.
   ALTER TABLE operations ADD COLUMN result TEXT;
   -- Orders about disks that are under way, for the next worker to go on with; its deadline is wall-clock milliseconds.
   CREATE TABLE disk_orders (id TEXT PRIMARY KEY, content TEXT NOT NULL, deadline INTEGER NOT NULL) STRICT;
   -- Machines whose guests were told to freeze their file systems and have not thawed them yet, whoever told them.
   CREATE TABLE frozen (uid TEXT PRIMARY KEY) STRICT;`,
] as const;
