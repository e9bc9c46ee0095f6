/**
 * Power cuts, links down, kill -9 and standing still of every kind of process of three real hosts, two at a time, while real machines come, go,
 * restart and are moved as they run. This is a short trial, each kind once; hack/lab-trial.ts runs the full one.
 */
import { expect, test } from 'vitest';
import { whyNoRealHost } from '../real-host.ts';
import { whyNot } from '../requires.ts';
import { seed } from '../seed.ts';
import { runLabTrial } from './trials/lab/trial.ts';

const gluster = ['gluster', 'glusterd', 'glusterfs'];

test.skipIf(whyNoRealHost() ?? whyNot(['virsh', 'flock', ...gluster]))(
  'no fault of a host doubles a machine, and none of control restarts one',
  { timeout: 900_000 },
  async () => {
    const { failures, report } = await runLabTrial({ seed, faults: 9, rounds: 1 });
    console.log(report);
    expect(failures).toEqual([]);
  },
);
