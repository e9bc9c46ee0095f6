import { expect, test } from 'vitest';
import { planned } from '#controllers/computefactory/read.ts';
import type { Cluster, ComputeFactory } from '#lib/api/generated/index.ts';
import { describePlan } from './plan.ts';

const meta = (name: string) => ({ name, namespace: 'n', uid: name, resourceVersion: '1', creationTimestamp: '' });

const factory: ComputeFactory = {
  apiVersion: 'computefactory.io/v1alpha1',
  kind: 'ComputeFactory',
  metadata: meta('render'),
  spec: {
    capacity: { unit: 'Cores', target: 200, min: 0 },
    overshoot: 'AllowLast',
    shapes: [{ flexible: { minCores: 4, maxCores: 48, stepCores: 4, memoryPerCore: '2Gi' } }],
    template: { spec: { image: { name: 'i' } } },
  },
} as unknown as ComputeFactory;

function cluster(hosts: number, cores: number): Cluster {
  const conditions = [{ type: 'Ready', status: 'True', reason: 'Ready', message: '', lastTransitionTime: '' }];
  const free = [{ cores, memoryMiB: cores * 4096, hosts, labels: {} }];
  return { metadata: meta('lab'), spec: {}, status: { conditions, free } } as unknown as Cluster;
}

const describeWith = (target: number, one: Cluster) =>
  describePlan(
    factory,
    target,
    planned(factory, { clusters: [one], poolsOf: () => [], machinesOf: () => [], typeOf: () => undefined }, target, 0),
  );

test('describePlan() tells the pools, and that all finds room', () => {
  expect(describeWith(200, cluster(9, 48))).toEqual({
    lines: [
      'render: 200 cores would be 200 cores in these pools:',
      '  lab: 4 × 48c (+4), 192 cores',
      '  lab: 1 × 8c (+1), 8 cores',
      '  every machine that is added finds room now',
    ],
    isWhole: true,
  });
});

test('describePlan() tells what would wait, and for what', () => {
  const { lines, isWhole } = describeWith(500, cluster(10, 20));
  expect(isWhole).toBe(false);
  expect(lines[0]).toBe('render: 500 cores instead of 200 would be 500 cores in these pools:');
  expect(lines.at(-1)).toBe('  300 cores of that would wait: lab has room on 10 hosts, 20 cores at most on one');
});

test('describePlan() tells of machines that wait although there is room, in the words of the scheduler', () => {
  const template = { spec: { resources: { cores: 4, memory: '8Gi' } } };
  const pool = { metadata: meta('p'), spec: { cluster: 'lab', replicas: 2, template } };
  const words =
    'lab: 9 hosts: 9 that may not use the Gluster volume vm (add it to gluster.volumes in their configuration)';
  const scheduled = { type: 'Scheduled', status: 'False', lastTransitionTime: '' };
  const waiting = (name: string, reason: string) => ({
    metadata: meta(name),
    spec: {},
    status: { phase: 'Scheduling', conditions: [{ ...scheduled, reason, message: words }] },
  });
  const lines = (reason: string) => {
    const surroundings = {
      clusters: [cluster(9, 48)],
      poolsOf: () => [pool] as never,
      machinesOf: () => [waiting('a', reason), waiting('b', reason)] as never,
      typeOf: () => undefined,
    };
    return describePlan(factory, 200, planned(factory, surroundings, 200, 0));
  };
  const refused = lines('NoMatchingHost');
  expect(refused.lines.at(-1)).toBe(`  more room would not help: 2 VMs wait: ${words}`);
  expect(refused.isWhole).toBe(false);
  expect(lines('NoOffers').lines.at(-1)).toBe('  every machine that is added finds room now');
});

test('describePlan() tells what is wrong with the factory', () => {
  const broken = {
    ...factory,
    spec: { ...factory.spec, shapes: [{ instanceType: 'gone' }] },
  } as unknown as ComputeFactory;
  const surroundings = { clusters: [], poolsOf: () => [], machinesOf: () => [], typeOf: () => undefined };
  const { lines, isWhole } = describePlan(broken, 200, planned(broken, surroundings, 200, 0));
  expect(isWhole).toBe(false);
  expect(lines[0]).toContain('InstanceType "gone" does not exist');
});
