/** What becomes the name of a file, or an argument of a program, out of what other machines tell this host. Nothing is run. */
import { randomUUID } from 'node:crypto';
import { mkdtempDisposable, readdir, writeFile } from 'node:fs/promises';
import { isIPv4 } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { expect, test, vi } from 'vitest';
import { encodeData } from '#mesos/bytes.ts';
import { fc } from '#test/properties.ts';
import { consolePaths } from './console/paths.ts';
import { machineDirectory } from './disks/disks.ts';
import { createOverlay } from './images/qemu-img.ts';
import { parseLaunch, parseMessage } from './messages.ts';
import { makeIso } from './seed/iso.ts';
import { stage } from './snapshots/kept.ts';
import { hostileNumber, hostilePath, hostileText } from './testing/hostile.ts';
import { digest, imageImport, machineLaunch } from './testing/world.ts';
import { requireSafeHost, requireSafeServers, requireSafeVolume } from './volumes/layout.ts';

const { ran } = vi.hoisted(() => ({ ran: [] as string[][] }));

vi.mock('./confine.ts', () => ({
  changesUser: async () => false,
  runConfined: async (program: string, args: readonly string[]) => {
    ran.push([program, ...args]);
    return { status: 0, stdout: '', stderr: '' };
  },
}));

const uid = randomUUID();
const isUuid = (value: unknown) => /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(String(value));
const isDigest = (value: unknown) => /^[0-9a-f]{64}$/.test(String(value));
const shared = { uid, name: 'd', type: 'SharedFilesystem', glusterVolume: 'vm', bytes: 1 } as const;
const anything: fc.Arbitrary<unknown> = fc.oneof(
  { weight: 6, arbitrary: hostileText },
  hostileNumber,
  fc.constantFrom(null, [], [uid], {}, true, 7, uid, digest, '192.0.2.1', 'vm'),
);

/** False if it throws. */
function isTaken(work: () => unknown): boolean {
  try {
    return work() !== undefined;
  } catch (error) {
    expect(error).toBeInstanceOf(Error);
    return false;
  }
}

test('a uid that is none becomes no path', async () => {
  await using store = await mkdtempDisposable(join(tmpdir(), 'cf-'));
  let accepted = 0;
  await fc.assert(
    fc.asyncProperty(fc.oneof({ weight: 9, arbitrary: hostileText }, fc.uuid()), async (value) => {
      if (isUuid(value)) {
        accepted += 1;
        const { consoleLog, consoleSocket, vncSocket } = consolePaths('/root', value);
        const directories = [consoleLog, consoleSocket, vncSocket].map((path) => dirname(path));
        expect(directories).toEqual([machineDirectory('/root', value), '/root/tty', '/root/vnc']);
        expect(machineDirectory('/root', value)).toBe(`/root/vms/${value}`);
      } else {
        expect(() => machineDirectory('/root', value)).toThrow(TypeError);
        await expect(stage(store.path, value)).rejects.toThrow(TypeError);
      }
    }),
    { numRuns: 1_000 },
  );
  expect(accepted).toBeGreaterThan(50);
  expect(await readdir(store.path)).toEqual([]);
});

const machine = machineLaunch(uid);
const times = { initialDelayMs: 0, periodMs: 1, timeoutMs: 1, successThreshold: 1, failureThreshold: 1 };
const http = { port: 80, path: '/', scheme: 'HTTP', headers: [] };
const probed = (changes: object) => ({ ...machine, version: 4, liveness: { ...times, ...changes } });
const isPrintable = (value: unknown) => /^[ -~]*$/.test(String(value));

/** A field, a launch that has a value there, and what the value must be for the launch to be taken. */
const launches: readonly [string, (value: unknown) => object, (value: unknown) => boolean][] = [
  ['uid', (value) => ({ ...machine, uid: value }), (value) => value === uid],
  ['task id', (value) => ({ ...machine, taskId: value }), (value) => value === machine.taskId],
  ['type', (value) => ({ ...machine, type: value }), (value) => value === 'machine'],
  ['digest', (value) => ({ ...machine, image: { ...machine.image, digest: value } }), isDigest],
  ['format', (value) => ({ ...machine, image: { ...machine.image, format: value } }), (value) => value === 'raw'],
  ['cores', (value) => ({ ...machine, cores: value }), Number.isSafeInteger],
  ['size', (value) => ({ ...machine, rootDiskBytes: value }), Number.isSafeInteger],
  ['seed', (value) => ({ ...machine, seedFormat: value }), () => false],
  ['volume', (value) => ({ ...machine, version: 3, volumes: [{ ...shared, uid: value }] }), isUuid],
  ['its type', (value) => ({ ...machine, version: 3, volumes: [{ ...shared, type: value }] }), () => false],
  [
    'path of a probe',
    (value) => probed({ http: { ...http, path: value } }),
    (value) => isPrintable(value) && /^\/\S*$/.test(String(value)),
  ],
  ['header of a probe', (value) => probed({ http: { ...http, headers: [{ name: 'a', value }] } }), isPrintable],
  [
    'name of a header',
    (value) => probed({ http: { ...http, headers: [{ name: value, value: '' }] } }),
    (value) => isPrintable(value) && !/[\s:]/.test(String(value)),
  ],
  ['port of a probe', (value) => probed({ tcp: { port: value } }), Number.isInteger],
  ['uid of an image', (value) => ({ ...imageImport(uid, {}), uid: value }), (value) => value === uid],
];

test.each(launches)('the %s of a launch is one, or the launch is not taken', (_, launchWith, isRight) => {
  fc.assert(
    fc.property(anything, fc.boolean(), (value, isTold) => {
      const launch = launchWith(value) as { readonly taskId?: unknown };
      const isImage = (launch as { readonly type?: unknown }).type === 'image';
      const usual = isImage ? imageImport(uid, {}).taskId : machine.taskId;
      const taskId = isTold && typeof launch.taskId === 'string' ? launch.taskId : usual;
      const info = { name: 'm', task_id: { value: taskId }, agent_id: { value: 'a' }, data: encodeData(launch) };
      if (isTaken(() => parseLaunch(info))) expect([value, isRight(value)]).toEqual([value, true]);
    }),
    { numRuns: 400 },
  );
});

const orders: readonly [string, (value: unknown) => object, (value: unknown) => boolean][] = [
  ['operation', (value) => ({ id: 'o', uid: value, operation: 'Stop', timeoutMs: 1 }), isUuid],
  ['disk', (value) => ({ id: 'o', uid: value, snapshot: uid, order: 'Discard', timeoutMs: 1 }), isUuid],
  ['disk', (value) => ({ id: 'o', uid, snapshot: value, order: 'Discard', timeoutMs: 1 }), isUuid],
  [
    'disk',
    (value) => ({ id: 'o', uid, snapshot: uid, order: 'Restore', attempt: 1, digest: value, timeoutMs: 1 }),
    isDigest,
  ],
  ['cleanup', (value) => ({ uids: [uid, value] }), isUuid],
  ['images', (value) => ({ id: 'i', digests: [value] }), isDigest],
  ['collect', (value) => ({ store: true, digests: [value] }), isDigest],
  ['peers', (value) => ({ id: 'p', subnets: [{ vni: value, peers: [] }] }), Number.isInteger],
  ['peers', (value) => ({ id: 'p', subnets: [{ vni: 1, peers: [value] }] }), (value) => isIPv4(String(value))],
  ['seed', (value) => ({ uid: value, attempt: 1, sealed: 'AAAA' }), isUuid],
  ['policy', (value) => ({ uid: value, attempt: 1, onGuestShutdown: 'Stop', onGuestCrash: 'Stop' }), isUuid],
  ['volume', (value) => ({ id: 'o', order: 'make', installation: 'i', volume: { ...shared, uid: value } }), isUuid],
];

test.each(orders)('a message %s that is taken has a name where one belongs', (type, messageWith, isRight) => {
  let accepted = 0;
  fc.assert(
    fc.property(anything, (value) => {
      if (!isTaken(() => parseMessage(encodeData({ version: 1, type, ...messageWith(value) })))) return;
      accepted += 1;
      expect([value, isRight(value)]).toEqual([value, true]);
    }),
    { numRuns: 400 },
  );
  expect(accepted).toBeGreaterThan(0);
});

test('what is mounted is named by words that are no options and no paths', () => {
  const volume = { ...shared, installation: 'i' };
  const isWord = (value: unknown) => /^[A-Za-z0-9][A-Za-z0-9.:_-]*$/.test(String(value));
  fc.assert(
    fc.property(fc.oneof(hostileText, fc.constantFrom('vm', uid)), hostileNumber, (value, bytes) => {
      if (isTaken(() => requireSafeServers([value]) ?? true)) expect([value, isWord(value)]).toEqual([value, true]);
      if (isTaken(() => requireSafeHost(value) ?? true)) expect([value, isWord(value)]).toEqual([value, true]);
      const named = { ...volume, glusterVolume: value };
      if (isTaken(() => requireSafeVolume(named) ?? true)) expect(value).toMatch(/^[A-Za-z0-9][A-Za-z0-9_-]*$/);
      if (isTaken(() => requireSafeVolume({ ...volume, uid: value }) ?? true)) expect(isUuid(value)).toBe(true);
      expect(() => requireSafeVolume({ ...volume, bytes })).toThrow(TypeError);
    }),
    { numRuns: 1_000 },
  );
});

test('qemu-img gets the image of an overlay as one word, and no other argument', async () => {
  await using directory = await mkdtempDisposable(join(tmpdir(), 'cf-'));
  const file = join(directory.path, 'overlay');
  await writeFile(file, '');
  let accepted = 0;
  await fc.assert(
    fc.asyncProperty(fc.oneof(hostilePath, hostileText), async (path) => {
      ran.length = 0;
      try {
        await createOverlay(file, { path, format: 'raw' }, 4096);
      } catch (error) {
        expect([error instanceof TypeError, ran]).toEqual([true, []]);
        return;
      }
      accepted += 1;
      const words = ['qemu-img', 'create', '-q', '-f', 'qcow2', '-u', '-b', path, '-F', 'raw', '/dev/fd/3', '4096'];
      expect([ran, path.startsWith('/')]).toEqual([[words], true]);
    }),
    { numRuns: 1_000 },
  );
  expect(accepted).toBeGreaterThan(100);
});

test('a file of a seed has a name of its own, or no file is made', async () => {
  await using directory = await mkdtempDisposable(join(tmpdir(), 'cf-'));
  const name = fc.oneof(hostileText, hostilePath);
  await fc.assert(
    fc.asyncProperty(
      // All that is none of our own names, nor in a directory of one.
      name.filter((each) => !/^[a-z-][a-z_.-]*(\/[a-z][a-z_.-]*)*$/.test(each)),
      async (each) => {
        const seed = { label: 'x', files: { 'meta-data': '', [each]: '' } };
        await expect(makeIso(join(directory.path, 'seed.iso'), seed)).rejects.toThrow(TypeError);
      },
    ),
    { numRuns: 400 },
  );
  expect(await readdir(directory.path)).toEqual([]);
});
