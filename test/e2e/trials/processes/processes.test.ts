/**
 * kill -9, and standing still for a while, of every kind of process, up to three at a time, while machines come and go. This is a short
 * trial; hack/trial.ts runs the full one.
 */
import { expect, test } from 'vitest';
import { whyNoZooKeeper } from '#mesos/zookeeper/testing/server.ts';
import { whyNot } from '../../../requires.ts';
import { seed } from '../../../seed.ts';
import { runTrial } from './trial.ts';

test.skipIf(whyNot(['etcd']) ?? whyNoZooKeeper())(
  'no fault of a process is felt by a machine',
  { timeout: 1_500_000 },
  async () => {
    const { failures, report } = await runTrial({ seed, each: 2, rounds: 1 });
    console.log(report);
    expect(failures).toEqual([]);
  },
);
