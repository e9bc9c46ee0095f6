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

test('a launch with other probes than of readiness by the agent is of version 4, and says at which network it is tried', () => {
  const times = { initialDelay: '0s', period: '10s', timeout: '2m', failureThreshold: 3 };
  const launched = (probes: object) =>
    machineLaunch(
      {
        metadata: { namespace: 'n', name: 'm', uid: 'u' },
        spec: { runPolicy: 'Always', resources: { cores: 1, memory: '1Gi' }, terminationGracePeriod: '0s', probes },
        status: { attempt: { number: 1, taskID: 't' }, networks: [{ subnet: 's' }, { subnet: 'other' }] },
      } as unknown as VirtualMachine,
      'Linux',
      'i',
    );
  const agent = { ...times, guestAgent: true };
  const old = launched({ readiness: { ...agent, successThreshold: 2 } });
  expect(old).toMatchObject({ version: 1, readiness: { successThreshold: 2, timeoutMs: 50_000 } });
  expect(old.networks.some((network) => 'tried' in network)).toBe(false);
  expect(launched({ liveness: agent })).toMatchObject({ version: 4, liveness: { successThreshold: 1 } });
  const http = { port: 80, path: '/', scheme: 'HTTP' };
  const tried = launched({ startup: { ...times, http } });
  expect(tried).toMatchObject({
    version: 4,
    startup: { http: { ...http, headers: [] } },
    networks: [{ tried: true }, {}],
  });
  expect(tried.networks[1]).not.toHaveProperty('tried');
});

test('a launch on a network of the site is of version 4, and names it as the hosts of its Cluster do', () => {
  const segment = { bridge: 'lan', clusters: [{ cluster: 'lab-b', parentNIC: 'eth1', vlan: 5 }] };
  const launched = (cluster: string) =>
    machineLaunch(
      {
        metadata: { namespace: 'n', name: 'm', uid: 'u' },
        spec: { runPolicy: 'Always', resources: { cores: 1, memory: '1Gi' }, terminationGracePeriod: '0s' },
        status: { attempt: { number: 1, taskID: 't', cluster }, networks: [{ subnet: 's', segment }] },
      } as unknown as VirtualMachine,
      'Linux',
      'i',
    );
  expect(launched('lab-a')).toMatchObject({ version: 4, networks: [{ segment: { bridge: 'lan' } }] });
  expect(launched('lab-b')).toMatchObject({ networks: [{ segment: { nic: 'eth1', vlan: 5 } }] });
});

test('a launch with volumes to read alone is of version 7, which an executor refuses that would let the guest write', () => {
  const volume = { name: 'd', volume: 'data', uid: 'u2', type: 'Disk', size: '1Gi', glusterVolume: 'vm', made: true };
  const launched = (more: object) => {
    const status = { attempt: { number: 1, taskID: 't' }, volumes: [{ ...volume, ...more }] };
    const spec = { resources: { cores: 1, memory: '1Gi' }, terminationGracePeriod: '30s', runPolicy: 'Always' };
    const vm = { metadata: { uid: 'u1', name: 'web', namespace: 'team-a' }, spec, status } as unknown as VirtualMachine;
    return machineLaunch(vm, 'Linux', 'i');
  };
  expect(launched({ grant: 1 }).version).toBe(3);
  const { version, volumes } = launched({ readOnly: true });
  expect([version, volumes]).toEqual([
    7,
    [{ name: 'd', uid: 'u2', type: 'Disk', glusterVolume: 'vm', bytes: 2 ** 30, readOnly: true }],
  ]);
});

test('a launch on a network whose addresses the site gives is of version 6, and names none', () => {
  const outside = { subnet: 's', subnetUID: 'su', vni: 7, mac: '52:54:00:00:00:01', mtu: 1500, ipam: 'External' };
  const launched = machineLaunch(
    {
      metadata: { namespace: 'n', name: 'm', uid: 'u' },
      spec: {
        runPolicy: 'Always',
        resources: { cores: 1, memory: '1Gi' },
        terminationGracePeriod: '0s',
        ioWeight: 200,
      },
      status: {
        attempt: { number: 1, taskID: 't', cluster: 'lab' },
        networks: [
          { ...outside, cidr: '10.1.0.0/24', segment: { bridge: 'lan' }, ip: '10.1.0.5' },
          { subnet: 'o', used: true },
        ],
      },
    } as unknown as VirtualMachine,
    'Linux',
    'i',
  );
  expect(launched.version).toBe(6);
  expect(launched.networks[0]).toEqual({
    ...{ subnet: 's', subnetUID: 'su', vni: 7, mac: '52:54:00:00:00:01', mtu: 1500, segment: { bridge: 'lan' } },
    ...{ ip: '', prefix: 32, gateway: '', dns: [], domain: '', leaseSeconds: 43_200, external: true },
  });
  expect(launched.networks[1]).not.toHaveProperty('external');
});

test('a launch with data disks, limits or a weight is of version 5; one with a root disk alone is as before', () => {
  const launched = (more: object) =>
    machineLaunch(
      {
        metadata: { namespace: 'n', name: 'm', uid: 'u' },
        spec: { runPolicy: 'Always', resources: { cores: 1, memory: '1Gi' }, terminationGracePeriod: '0s', ...more },
        status: { attempt: { number: 1, taskID: 't' } },
      } as unknown as VirtualMachine,
      'Linux',
      'i',
    );
  const root = { name: 'root', size: '20Gi' };
  const old = launched({ disks: [root] });
  expect(old).toMatchObject({ version: 1, rootDiskBytes: 20 * 2 ** 30 });
  for (const field of ['disks', 'rootDiskLimits', 'ioWeight']) expect(old).not.toHaveProperty(field);
  const limits = { throughput: '100Mi', iops: 500 };
  const told = { bytesPerSecond: 100 * 2 ** 20, requestsPerSecond: 500 };
  const disks = [
    { name: 'data', size: '1Gi', limits },
    { name: 'scratch', size: '2Gi', limits: { iops: 10 } },
  ];
  const whole = launched({ disks: [root, ...disks] });
  expect(whole).toMatchObject({ version: 5, rootDiskBytes: 20 * 2 ** 30 });
  expect(whole).not.toHaveProperty('rootDiskLimits');
  expect(whole.disks).toEqual([
    { name: 'data', bytes: 2 ** 30, limits: told },
    { name: 'scratch', bytes: 2 ** 31, limits: { requestsPerSecond: 10 } },
  ]);
  expect(launched({ disks: [{ ...root, limits }] })).toMatchObject({ version: 5, rootDiskLimits: told });
  expect(launched({ ioWeight: 250 })).toMatchObject({ version: 5, ioWeight: 250 });
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
