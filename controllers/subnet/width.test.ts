import { expect, test } from 'vitest';
import type { Subnet, VirtualMachine } from '#lib/api/generated/index.ts';
import { widthCondition, widthOf } from './width.ts';

const on = (cluster: string, host: string) => ({ status: { attempt: { cluster, host } } }) as VirtualMachine;
const hosts = (count: number) => Array.from({ length: count }, (_, n) => on('lab-a', `h${n}`));
const subnet = { metadata: {}, spec: {} } as Subnet;

test('hosts are counted once each, in the cluster where they are most', () => {
  expect(widthOf([])).toBeUndefined();
  const machines = [...hosts(3), ...hosts(2), on('lab-b', 'h0'), on('lab-b', 'h1'), { status: {} } as VirtualMachine];
  expect(widthOf(machines)).toEqual({ cluster: 'lab-a', hosts: 3 });
});

test('a subnet says that it is too wide, and later that it is not any more', () => {
  expect(widthCondition(subnet, widthOf(hosts(1025)))).toEqual([]);
  const [wide] = widthCondition(subnet, widthOf(hosts(1026)));
  expect(wide).toMatchObject({ type: 'Connected', status: 'False', reason: 'TooManyHosts' });
  expect(wide!.message).toContain('1026 hosts of cluster lab-a carry it');
  const told = { ...subnet, status: { conditions: [{ ...wide!, lastTransitionTime: '' }] } } as Subnet;
  expect(widthCondition(told, undefined)).toMatchObject([{ status: 'True', reason: 'Connected' }]);
});
