/**
 * kill -9, and standing still for a while, of every kind of process, up to three at a time, while machines come and go. This is a short
 * trial; hack/trial.ts runs the full one. CF_TRIAL_SEED repeats the faults of a run; the moments are real time, so a run is alike, not
 * equal.
 */
import { expect, test } from 'vitest';
import { systemClock } from '#lib/std/clock.ts';
import { whyNoZooKeeper } from '#mesos/zookeeper/testing/server.ts';
import { whyNot } from '../../../requires.ts';
import { runTrial } from './trial.ts';

const seed = Number(process.env.CF_TRIAL_SEED ?? Math.floor(systemClock.now() % 1_000_000));

test.skipIf(whyNot(['etcd']) ?? whyNoZooKeeper())(
  `no fault of a process is felt by a machine (CF_TRIAL_SEED=${seed})`,
  { timeout: 1_500_000 },
  async () => {
    const { failures, report } = await runTrial({ seed, each: 2, rounds: 1 });
    console.log(report);
    expect(failures).toEqual([]);
  },
);
