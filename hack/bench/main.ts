/**
 * `make bench`: one line per figure of what the project measures of itself, as `P1 ratio=0.62 floor=0.4 goal=1.0 …`. Ratios against a
 * baseline in the same run, counts and bytes; fails nothing, but a run that ends with wrong results throws. Names on the command line
 * select figures, or all parts of one: `P9` is `P9-life`, `P9-disk`, and so on.
 */
import { loadavg } from 'node:os';
import { whyNoRealHost } from '#test/real-host.ts';
import { whyNot } from '#test/requires.ts';
import { apiWrites } from './api-writes.ts';
import { fieldOwners } from './field-owners.ts';
import { idle } from './idle.ts';
import { memory } from './memory.ts';
import { mesosStream } from './mesos-stream.ts';
import { placements } from './placements.ts';
import { poolToRunning } from './pool-to-running.ts';
import { apply } from './real-machines/apply.ts';
import { disk } from './real-machines/disk.ts';
import { life } from './real-machines/life.ts';
import { rate } from './real-machines/rate.ts';
import { restart } from './restart.ts';
import { watchFanout } from './watch-fanout.ts';

const figures: Readonly<Record<string, () => Promise<readonly string[]>>> = {
  P1: apiWrites,
  P2: watchFanout,
  P3: placements,
  P4: poolToRunning,
  P6: memory,
  P7: idle,
  P8: restart,
  'P9-life': onRealHost(life),
  'P9-disk': onRealHost(disk),
  'P9-apply': onRealHost(apply),
  'P9-rate': onRealHost(rate),
  P10: mesosStream,
  Ap: fieldOwners,
};

/** Says why not where no real machine can run. */
function onRealHost(measure: () => Promise<readonly string[]>): () => Promise<readonly string[]> {
  return async () => {
    const why = whyNoRealHost() ?? whyNot(['virsh']);
    return why === undefined ? await measure() : [`P9 skipped: ${why}`];
  };
}

const wanted = process.argv.slice(2);
const busy = loadavg()[0]!;
if (busy > 0.3) console.log(`# load is ${busy.toFixed(2)}: figures of a busy machine vary`);
for (const [name, measure] of Object.entries(figures)) {
  if (wanted.length > 0 && !wanted.some((each) => name === each || name.startsWith(`${each}-`))) continue;
  console.log(`# ${name} …`);
  for (const line of await measure()) console.log(line);
}
process.exit(0);
