/** Many seeds over several child processes. A seed that takes its process with it is a broken one; the others go on in a new process. */
import { type ChildProcess, fork } from 'node:child_process';
import { join } from 'node:path';
import { systemClock } from '#lib/std/clock.ts';
import { deadline } from '#lib/std/deadline.ts';
import type { Outcome } from './run.ts';

/** With the processor time that it took. */
export type Timed = Outcome & { readonly cpuMs: number };

export interface CampaignOptions {
  readonly from: number;
  readonly to: number;
  readonly hours: number;
  readonly jobs: number;
  readonly plant?: string;
  /** Called for each seed as it ends, in no particular order. False: no more are begun. */
  readonly ended: (outcome: Timed) => boolean;
}

/** What a world leaves behind in its process is gone with it after so many. */
const seedsPerProcess = 20;
/** Far beyond what an hour of virtual time takes: by then it turns in circles. */
const limitMsPerHour = 120_000;

export async function runCampaign(options: CampaignOptions): Promise<void> {
  let next = options.from;
  const take = (): number | undefined => (next <= options.to ? next++ : undefined);
  const ended = (outcome: Timed) => {
    if (!options.ended(outcome)) next = options.to + 1;
  };
  await Promise.all(Array.from({ length: options.jobs }, () => runJob({ ...options, take, ended })));
}

interface Job extends Omit<CampaignOptions, 'ended'> {
  readonly take: () => number | undefined;
  readonly ended: (outcome: Timed) => void;
}

async function runJob(job: Job): Promise<void> {
  for (let seed = job.take(); seed !== undefined; ) {
    using worker = startWorker(job);
    for (let left = seedsPerProcess; left > 0 && seed !== undefined && worker.child.connected; left--) {
      job.ended(await runIn(worker.child, seed, job.hours));
      seed = job.take();
    }
  }
}

function startWorker({ hours, plant }: Job): Disposable & { readonly child: ChildProcess } {
  const args = [String(hours), ...(plant === undefined ? [] : [plant])];
  // Outcomes hold maps, which JSON does not.
  const child = fork(join(import.meta.dirname, 'worker.ts'), args, { serialization: 'advanced' });
  return { child, [Symbol.dispose]: () => void (child.connected && child.disconnect()) };
}

async function runIn(child: ChildProcess, seed: number, hours: number): Promise<Timed> {
  const { promise, resolve } = Promise.withResolvers<Timed>();
  const broken = (why: string) => {
    child.kill('SIGKILL');
    resolve({ seed, traceHash: '', failures: [why], faults: new Map(), minutes: 0, settledMs: 0, last: '', cpuMs: 0 });
  };
  const died = (code: number | null, signal: string | null) => broken(`Its process ended with ${signal ?? code}`);
  using late = deadline(systemClock, limitMsPerHour * (hours + 1), 'The run');
  late.signal.addEventListener('abort', () => broken(String(late.signal.reason)), { once: true });
  child.once('exit', died);
  child.once('message', resolve);
  child.send(seed);
  try {
    return await promise;
  } finally {
    child.off('exit', died).off('message', resolve);
  }
}
