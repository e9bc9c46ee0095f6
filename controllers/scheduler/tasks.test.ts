import { expect, test } from 'vitest';
import type { VirtualMachine } from '#lib/api/generated/index.ts';
import type { ExecutorInfo, Resource } from '#mesos/types.ts';
import { machineLaunch, withoutShare } from './tasks.ts';

const scalar = (name: string, value: number): Resource => ({ name, type: 'SCALAR', scalar: { value } });
const executor = { resources: [scalar('cpus', 0.5), scalar('mem', 512)] } as unknown as ExecutorInfo;

test('an executor that does not run yet takes its share before any task', () => {
  expect(withoutShare([scalar('cpus', 4), scalar('mem', 1024), scalar('disk', 10)], executor)).toEqual([
    scalar('cpus', 3.5),
    scalar('mem', 512),
    scalar('disk', 10),
  ]);
  expect(withoutShare([scalar('cpus', 0.4), scalar('mem', 1024)], executor)).toBeUndefined();
  expect(withoutShare([scalar('cpus', 4), scalar('mem', 500)], executor)).toBeUndefined();
});

test('what is reserved is left to the machines: the share of an executor is not', () => {
  const reserved = (resource: Resource): Resource => ({ ...resource, reservations: [{ type: 'DYNAMIC', role: 'vm' }] });
  const host = [scalar('cpus', 0.5), scalar('mem', 600), reserved(scalar('cpus', 4)), reserved(scalar('mem', 1024))];
  expect(withoutShare(host, executor)).toEqual([
    scalar('mem', 88),
    reserved(scalar('cpus', 4)),
    reserved(scalar('mem', 1024)),
  ]);
  expect(withoutShare(host.slice(1), executor)).toBeUndefined();
});

test('what is being deleted is taken over, and not started again', () => {
  const launched = (deletion: object) =>
    machineLaunch(
      {
        metadata: { namespace: 'n', name: 'm', uid: 'u', ...deletion },
        spec: { runPolicy: 'Always', resources: { cores: 1, memory: '1Gi' }, terminationGracePeriod: '0s' },
        status: { attempt: { number: 2, taskID: 't', adopted: true } },
      } as unknown as VirtualMachine,
      'Linux',
      'i',
    );
  expect(launched({})).toMatchObject({ power: 'On', onGuestShutdown: 'Restart', onGuestCrash: 'Restart' });
  const deleted = launched({ deletionTimestamp: '2026-01-01T00:00:00Z' });
  expect(deleted).toMatchObject({ adopt: true, power: 'Off', onGuestShutdown: 'Stop', onGuestCrash: 'Stop' });
});

test('a launch with a way out is of version 2, which an executor refuses that would leave it out', () => {
  const launched = (egress: object) =>
    machineLaunch(
      {
        metadata: { namespace: 'n', name: 'm', uid: 'u' },
        spec: { runPolicy: 'Always', resources: { cores: 1, memory: '1Gi' }, terminationGracePeriod: '0s' },
        status: { attempt: { number: 1, taskID: 't' }, networks: [{ subnet: 's', gateway: '10.0.0.1', ...egress }] },
      } as unknown as VirtualMachine,
      'Linux',
      'i',
    );
  expect(launched({}).version).toBe(1);
  expect(launched({}).networks[0]).not.toHaveProperty('egress');
  expect(launched({ egress: 'NAT' })).toMatchObject({ version: 2, networks: [{ egress: 'NAT', gateway: '10.0.0.1' }] });
});
