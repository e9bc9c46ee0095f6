import { randomUUID } from 'node:crypto';
import { expect, test } from 'vitest';
import type { MachineLaunch } from '#lib/api/launch.ts';
import { machineTaskId } from '#lib/api/names.ts';
import { encodeData } from '#mesos/bytes.ts';
import { parseLaunch, parseMessage, parseSecrets } from './messages.ts';
import { machineLaunch } from './testing/world.ts';

const uid = randomUUID();
const good = machineLaunch(uid);
const shared = { name: 'd', uid, type: 'SharedFilesystem', glusterVolume: 'vm', bytes: 1 };
const filling = (more: object) => ({
  ...{ type: 'volume', version: 1, id: 'o', order: 'fill', installation: 'i', volume: { ...shared, type: 'Disk' } },
  ...more,
});
const taking = {
  ...{ type: 'disk', version: 1, id: 'o', uid, snapshot: randomUUID(), order: 'Snapshot' },
  ...{ attempt: 1, consistency: 'Quiesced', timeoutMs: 1 },
};
const probe = { initialDelayMs: 0, periodMs: 1, timeoutMs: 1, successThreshold: 1, failureThreshold: 1 };
const http = { port: 80, path: '/', scheme: 'HTTP', headers: [{ name: 'Host', value: 'web' }] };
const incoming = { migration: randomUUID(), from: 1, timeoutMs: 600_000 };
const to = { hostname: 'host-2', url: 'https://10.0.0.2:31000', certificateSha256: 'a'.repeat(64), token: 'T-_0' };
const migrate = { type: 'migrate', version: 1, id: randomUUID(), uid, attempt: 1, to, timeoutMs: 60_000 };
const migrationEnd = { type: 'migration-end', version: 1, id: randomUUID(), uid, gone: false, message: 'late' };
const task = (launch: object, id = good.taskId) => ({
  name: 'm',
  task_id: { value: id },
  agent_id: { value: 'a' },
  data: encodeData(launch),
});

test('parseLaunch() gives back what was sent', () => {
  expect(parseLaunch(task(good))).toEqual(good);
  const secret = { ...good, version: 2, seedFormat: 'ConfigDrive', secretSeed: true };
  expect(parseLaunch(task(secret))).toEqual(secret);
  const volumes = { ...good, version: 3, volumes: [shared, { ...shared, type: 'Disk', grant: 1 }] };
  expect(parseLaunch(task(volumes))).toEqual(volumes);
  const probed = { ...good, version: 4, liveness: { ...probe, http }, startup: { ...probe, tcp: { port: 22 } } };
  expect(parseLaunch(task(probed))).toEqual(probed);
  const limits = { bytesPerSecond: 2 ** 20, requestsPerSecond: 100 };
  const disks = [
    { name: 'data', bytes: 2 ** 30, limits },
    { name: 'scratch', bytes: 512 },
  ];
  const disked = { ...good, version: 5, disks, rootDiskLimits: { requestsPerSecond: 7 }, ioWeight: 100 };
  expect(parseLaunch(task(disked))).toEqual(disked);
  const comes = { ...good, version: 7, attempt: 2, taskId: machineTaskId(uid, 2), incoming };
  expect(parseLaunch(task(comes, comes.taskId))).toEqual(comes);
  const outside = { ...good, version: 6, networks: [{ ...good.networks[0], ip: '', external: true }] };
  expect(parseLaunch(task(outside))).toEqual(outside);
  const read = [
    { ...shared, readOnly: true },
    { ...shared, type: 'Disk', readOnly: true },
    { ...shared, type: 'Disk', grant: 1, readOnly: true },
  ];
  const reader = { ...good, version: 7, volumes: read };
  expect(parseLaunch(task(reader))).toEqual(reader);
});

test.each<[string, Partial<MachineLaunch> | object]>([
  ['another version', { version: 8 }],
  ...[
    { disks: {} },
    { disks: [{ name: '../root', bytes: 512 }] },
    { disks: [{ name: 'a'.repeat(21), bytes: 512 }] },
    { disks: [{ name: 'data' }] },
    { disks: [{ name: 'data', bytes: 0 }] },
    { disks: [{ name: 'data', bytes: 512, limits: { requestsPerSecond: 0.5 } }] },
    {
      disks: [
        { name: 'data', bytes: 512 },
        { name: 'data', bytes: 1024 },
      ],
    },
    { rootDiskLimits: { bytesPerSecond: '1; x' } },
    { ioWeight: 99 },
    { ioWeight: 500.5 },
  ].map((wrong): [string, object] => [`disks with ${JSON.stringify(wrong)}`, { version: 5, ...wrong }]),
  ...[
    { http: { ...http, path: '/ HTTP/1.1\r\nHost: x' } },
    { http: { ...http, path: 'x' } },
    { http: { ...http, scheme: 'FTP' } },
    { http: { ...http, headers: [{ name: 'a', value: 'b\r\nc: d' }] } },
    { http: { ...http, headers: [{ name: 'a:', value: '' }] } },
    { http: { ...http, headers: undefined } },
    { tcp: { port: 0 } },
    { tcp: { port: '22; reboot' } },
    { periodMs: -1 },
  ].map((wrong): [string, object] => [
    `a probe with ${JSON.stringify(wrong)}`,
    { version: 4, liveness: { ...probe, ...wrong } },
  ]),
  ['a volume that is none', { version: 3, volumes: [{ name: 'd', uid, type: 'Disk', glusterVolume: 'vm', bytes: 1 }] }],
  ['a directory that was given to one', { version: 3, volumes: [{ ...shared, grant: 1 }] }],
  ['a word for what may be read alone', { version: 7, volumes: [{ ...shared, readOnly: 'false' }] }],
  ['a volume of a uid that climbs', { version: 3, volumes: [{ ...shared, uid: '..' }] }],
  ['a seed for no known reader', { version: 2, seedFormat: 'Ignition' }],
  ['another uid than the task', { uid: randomUUID() }],
  ['a uid that climbs', { uid: '../../etc' }],
  ['a format that is an option', { image: { digest: 'd'.repeat(64), format: '--help' as 'raw', virtualSize: 1 } }],
  ['a digest that climbs', { image: { digest: '../../../etc/passwd', format: 'raw', virtualSize: 1 } }],
  ['no image', { image: undefined }],
  ['cores in parts', { cores: 1.5 }],
  ['negative memory', { memoryMiB: -1 }],
  ['no networks', { networks: undefined }],
])('parseLaunch() refuses %s', (_, change) => {
  expect(() => parseLaunch(task({ ...good, ...change }))).toThrow();
});

test('parseLaunch() refuses a launch for another task', () => {
  expect(() => parseLaunch(task(good, `vm-${uid}-2`))).toThrow();
});

test.each<object>([
  { type: 'ack', version: 2, operations: [] },
  { type: 'ack', version: 1 },
  { type: 'operation', version: 1, id: 'o', uid: '../x' },
  { type: 'operation', version: 1, id: 'o', uid, operation: 'Explode', timeoutMs: 1 },
  { type: 'operation', version: 1, id: 'o', uid, operation: 'Stop' },
  { type: 'cleanup', version: 1, uids: ['..'] },
  { type: 'drop-uploads', version: 1, uids: ['..'] },
  { type: 'images', version: 1, id: 'i', digests: ['../../etc/passwd'] },
  { type: 'images', version: 1, digests: [] },
  { type: 'collect', version: 1, store: true, digests: ['..'] },
  { type: 'collect', version: 1, digests: [] },
  { type: 'peers', version: 1, subnets: [] },
  { type: 'peers', version: 1, id: 'p', subnets: [{ vni: '1', peers: [] }] },
  { type: 'peers', version: 1, id: 'p', subnets: [{ vni: 1, peers: ['192.0.2.1; drop'] }] },
  { type: 'policy', version: 1, uid: '..', attempt: 1, onGuestShutdown: 'Stop', onGuestCrash: 'Stop' },
  { type: 'policy', version: 1, uid, onGuestShutdown: 'Stop', onGuestCrash: 'Stop' },
  { type: 'policy', version: 1, uid, attempt: 1, onGuestShutdown: 'Fail', onGuestCrash: 'Stop' },
  { type: 'policy', version: 1, uid, attempt: 1, onGuestShutdown: 'Stop', onGuestCrash: 'Finish' },
  { type: 'seed', version: 1, uid, attempt: 1 },
  { type: 'seed', version: 1, uid, attempt: '1', sealed: 'AAAA' },
  { type: 'seed', version: 1, uid: '../x', attempt: 1, sealed: 'AAAA' },
  { type: 'volume', version: 1, id: 'o', order: 'wipe', installation: 'i', volume: shared },
  { type: 'volume', version: 1, id: 'o', order: 'make', installation: 'i', volume: { ...shared, uid: '/' } },
  { type: 'volume', version: 1, id: 'o', order: 'make', installation: 'i' },
  { type: 'volume-list', version: 1, id: 'o', installation: 'i', glusterVolume: 'vm' },
  { type: 'volume-list', version: 1, id: 'o', installation: 'i', glusterVolume: 7, known: [] },
  filling({}),
  filling({ source: {} }),
  filling({ source: { digest: '../../etc/shadow', format: 'raw' } }),
  filling({ source: { digest: 'a'.repeat(64), format: 'vmdk' } }),
  filling({ source: { uid: '../x', glusterVolume: 'vm' } }),
  filling({ source: { uid, glusterVolume: 'vm', grant: '1' } }),
  { ...taking, snapshot: '../../etc/cron.d/x' },
  { ...taking, uid: 'a/b' },
  { ...taking, consistency: '--format=raw' },
  { ...taking, attempt: '1' },
  { ...taking, timeoutMs: undefined },
  { ...taking, order: 'Restore', digest: '../../../etc/passwd' },
  { ...taking, order: 'Restore', digest: `${'a'.repeat(64)}\n` },
  { ...taking, order: 'Discard', snapshot: '$(id)' },
  { ...taking, order: 'Explode' },
  { type: 'dance', version: 1 },
])('parseMessage() ignores %j', (message) => {
  expect(parseMessage(encodeData(message))).toBeUndefined();
});

test.each<object>([
  { type: 'seed', version: 1, uid, attempt: 1, sealed: 'AAAA' },
  taking,
  { ...taking, order: 'Restore', digest: 'a'.repeat(64) },
  { ...taking, order: 'Discard' },
  { type: 'cleanup', version: 1, uids: [uid] },
  { type: 'drop-uploads', version: 1, uids: [uid] },
  { type: 'images', version: 1, id: 'i', digests: ['a'.repeat(64)] },
  { type: 'collect', version: 1, store: false, digests: ['a'.repeat(64)] },
  { type: 'peers', version: 1, id: 'p', subnets: [{ vni: 4097, peers: ['192.0.2.1'] }] },
  { type: 'volume-list', version: 1, id: 'o', installation: 'i', glusterVolume: 'vm', known: ['aaaaaaaa'] },
  { type: 'volume', version: 1, id: 'o', order: 'discard', installation: 'i', volume: shared },
  filling({ source: { digest: 'a'.repeat(64), format: 'raw' } }),
  filling({ source: { uid, glusterVolume: 'vm', grant: 1 } }),
])('parseMessage() reads %j', (order) => {
  expect(parseMessage(encodeData(order))).toEqual(order);
});

test.each(['{"userData": 7}', '{"sshKeys": "canary"}', '{"adminPassword": canary', 'canary'])(
  'parseSecrets() refuses %s without a word of it',
  (text) => {
    expect(() => parseSecrets(text)).toThrow(/^(?!.*canary).*secrets of the seed/s);
  },
);

test.each([
  [{ version: 6 }],
  [{ adopt: true }],
  [{ incoming: { ...incoming, migration: '../x' } }],
  [{ incoming: { ...incoming, from: 2 } }],
  [{ incoming: { ...incoming, timeoutMs: 0 } }],
  [{ volumes: [shared] }],
])('parseLaunch() refuses a machine that comes from another host with %j', (change) => {
  const launch = { ...good, version: 7, attempt: 2, taskId: machineTaskId(uid, 2), incoming };
  expect(() => parseLaunch(task({ ...launch, ...change }, launch.taskId))).toThrow();
});

test('parseMessage() reads orders to move a machine, and none with a part that it cannot use', () => {
  for (const order of [migrate, migrationEnd]) expect(parseMessage(encodeData(order))).toEqual(order);
  const bad = [
    { ...migrate, id: 'a/b' },
    { ...migrate, uid: 'x' },
    { ...migrate, attempt: 0 },
    { ...migrate, timeoutMs: -1 },
    { ...migrate, to: undefined },
    { ...migrate, to: { ...to, url: 'http://10.0.0.2' } },
    { ...migrate, to: { ...to, url: 'no' } },
    { ...migrate, to: { ...to, certificateSha256: 'a' } },
    { ...migrate, to: { ...to, token: 'a\r\nb' } },
    { ...migrationEnd, gone: 'true' },
    { ...migrationEnd, message: 1 },
    { ...migrationEnd, id: '' },
  ];
  for (const order of bad) expect(parseMessage(encodeData(order)), JSON.stringify(order)).toBeUndefined();
});
