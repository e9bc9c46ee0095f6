/** Writes to the store in its argument until it is killed, and prints each key once it is acknowledged. */
import { writeSync } from 'node:fs';
import { systemClock } from '#lib/std/clock.ts';
import { silentLog } from '#lib/std/log.ts';
import { openSqlite } from '../sqlite.ts';

const store = openSqlite({ file: process.argv[2]!, clock: systemClock, log: silentLog });

async function writer(name: string): Promise<never> {
  for (let i = 0; ; i++) {
    const key = `a/${name}-${i}`;
    await store.create(key, new Uint8Array(100));
    writeSync(1, `${key}\n`);
  }
}

await Promise.all(['x', 'y', 'z'].map(writer));
