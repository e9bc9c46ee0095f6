import { describe, expect, test } from 'vitest';
import type { Volume } from '#lib/api/generated/volume.ts';
import type { MountReport, VolumeOrderReport } from '#lib/api/messages.ts';
import { timestamp } from '#lib/std/clock.ts';
import { seededRandom } from '#lib/std/random.ts';
import type { ExecutorFact } from './executor-book.ts';
import {
  type Backend,
  healthOf,
  nextBackend,
  nextResize,
  orderFor,
  orderId,
  sourceOnHost,
  usedOf,
} from './volume-backend.ts';

const nowMs = Date.parse('2026-01-01T00:00:00Z');
const volume = (status: Volume['status'] = {}, metadata: object = {}) =>
  ({
    metadata: { uid: 'u', ...metadata },
    spec: { size: '10Gi', backend: { gluster: { volume: 'vm' } } },
    status,
  }) as unknown as Volume;

interface Said {
  readonly names?: readonly string[];
  readonly mounts?: readonly Partial<MountReport>[];
  readonly orders?: readonly VolumeOrderReport[];
}
const host = (hostname: string, { names = ['vm'], mounts = [], orders = [] }: Said = {}) =>
  ({ hostname, heartbeat: { volumes: { names, mounts, orders } } }) as unknown as ExecutorFact;
const old = { hostname: 'old', heartbeat: {} } as unknown as ExecutorFact;

const next = (
  backend: Backend | undefined,
  hosts: readonly ExecutorFact[],
  order: 'make' | 'fill' | 'remove' = 'make',
) => nextBackend(volume(backend && { backend }), order, hosts, nowMs, seededRandom(1));

describe('orderFor()', () => {
  const deletionTimestamp = timestamp(nowMs);
  test.each<[string, Volume, string | undefined]>([
    ['new', volume(), 'make'],
    ['made', volume({ backend: { state: 'Made' } }), undefined],
    ['in use, though deleted', volume({ backend: { state: 'Made' } }, { deletionTimestamp }), undefined],
    ['deleted before it was made', volume({}, { deletionTimestamp }), undefined],
    ['unused', volume({ removal: 'Wanted', backend: { state: 'Made' } }, { deletionTimestamp }), 'remove'],
    ['removed', volume({ removal: 'Wanted', backend: { state: 'Removed' } }, { deletionTimestamp }), undefined],
  ])('%s', (_, object, expected) => expect(orderFor(object)).toBe(expected));
});

describe('nextBackend()', () => {
  const making: Backend = { state: 'Making', host: 'h1' };
  const report = (state: 'Done' | 'Failed', failures = 0) => ({
    ...{ id: `u-make-${10 * 2 ** 30}-${failures}`, uid: 'u', state, message: state === 'Done' ? '' : 'no quota' },
    ...(state === 'Failed' && { reason: 'QuotaFailed' }),
  });

  test('goes to a host that may use the Gluster volume, or says that there is none', () => {
    expect(next(undefined, [old, host('h0', { names: ['images'] }), host('h1')])).toEqual(making);
    expect(next(undefined, [])).toMatchObject({ state: 'Waiting', message: expect.stringContaining('No executor') });
    expect(next(undefined, [old])).toMatchObject({
      state: 'Waiting',
      message: expect.stringContaining('gluster.volumes'),
    });
  });

  test('ends with the report of this try, and begins elsewhere when the host is gone', () => {
    expect(next(making, [host('h1')])).toEqual(making);
    expect(next(making, [host('h1', { orders: [report('Done')] })])).toEqual({
      state: 'Made',
      host: 'h1',
      size: '10Gi',
    });
    expect(next(making, [host('h1', { orders: [report('Done', 7)] })])).toEqual(making);
    expect(next(making, [host('h2')])).toEqual({ state: 'Making', host: 'h2' });
  });

  test('after a failure it waits, says why, and tries on another host with another id', () => {
    const failed = next(making, [host('h1', { orders: [report('Failed')] })]);
    expect(failed).toMatchObject({ state: 'Waiting', failures: 1, reason: 'QuotaFailed' });
    expect(failed.message).toMatch(/Host h1: no quota/);
    const hosts = [host('h1', { orders: [report('Failed')] }), host('h2')];
    expect(next(failed, hosts)).toEqual(failed);
    const later = { ...failed, retryAfter: timestamp(nowMs - 1) };
    expect(next(later, hosts)).toMatchObject({ state: 'Making', host: 'h2', failures: 1 });
    expect(orderId(volume({ backend: later }), 'make')).toBe(`u-make-${10 * 2 ** 30}-1`);
    // The old report is of an older try.
    expect(next({ ...making, failures: 1 }, hosts)).toMatchObject({ state: 'Making', host: 'h1' });
  });
});

describe('what has sources', () => {
  const digest = 'd'.repeat(64);
  const filled = (status: Volume['status']) => {
    const one = volume(status);
    return { ...one, spec: { ...one.spec, sources: { image: { name: 'i' } } } } as Volume;
  };
  const source = { digest, format: 'raw', virtualSize: 1 } as const;
  const disk = { uid: 'x', glusterVolume: 'other', grant: 2, virtualSize: 1 };
  const able = (hostname: string, more: object = {}) => {
    const heartbeat = { volumes: { names: ['vm'], mounts: [], orders: [], fills: true, ...more } };
    return { hostname, heartbeat } as unknown as ExecutorFact;
  };
  const fill = (status: Volume['status'], hosts: readonly ExecutorFact[]) =>
    nextBackend(filled(status), 'fill', hosts, nowMs, seededRandom(1));

  test('waits for them, is filled, and is never made empty', () => {
    expect(orderFor(filled({}))).toBeUndefined();
    expect(orderFor(filled({ source }))).toBe('fill');
    expect(orderFor(filled({ source, backend: { state: 'Made' } }))).toBeUndefined();
    expect(sourceOnHost(filled({ source }))).toEqual({ digest, format: 'raw' });
    expect(sourceOnHost(filled({ source: disk }))).toEqual({ uid: 'x', glusterVolume: 'other', grant: 2 });
    expect(sourceOnHost(filled({}))).toBeUndefined();
  });

  test('is filled by a host that can, and that may use both Gluster volumes; it says how far it is', () => {
    expect(fill({ source }, [host('h1'), able('h2')])).toEqual({ state: 'Making', host: 'h2' });
    expect(fill({ source }, [host('h1')]).message).toMatch(/new enough for sources/);
    const both = able('h3', { names: ['vm', 'other'] });
    expect(fill({ source: disk }, [able('h2'), both])).toEqual({ state: 'Making', host: 'h3' });
    expect(fill({ source: disk }, [able('h2')]).message).toContain('vm and other');
    const making = { state: 'Making', host: 'h2' } as const;
    const half = able('h2', { filling: [{ uid: 'u', percent: 43 }] });
    expect(fill({ source, backend: making }, [half])).toEqual({ ...making, progress: 43 });
    const report = { id: `u-fill-${10 * 2 ** 30}-0`, uid: 'u', state: 'Failed', message: 'no room', reason: 'NoRoom' };
    const failed = fill({ source, backend: { ...making, progress: 43 } }, [able('h2', { orders: [report] })]);
    expect(failed).toMatchObject({ state: 'Waiting', failures: 1, reason: 'NoRoom' });
    expect(failed).not.toHaveProperty('progress');
  });
});

describe('nextResize()', () => {
  const able = (name: string, orders: readonly VolumeOrderReport[] = []) => {
    const one = host(name, { orders });
    return { ...one, heartbeat: { volumes: { ...one.heartbeat.volumes, grows: true } } } as ExecutorFact;
  };
  const made: Backend = { state: 'Made', host: 'h0', size: '5Gi' };
  const grow = (status: Volume['status'], hosts: readonly ExecutorFact[], metadata: object = {}) =>
    nextResize(volume(status, metadata), hosts, nowMs, seededRandom(1));
  const report = (bytes: number, state: 'Done' | 'Failed' = 'Done'): VolumeOrderReport => ({
    ...{ id: `u-make-${bytes}-0`, uid: 'u', state, message: 'no quota' },
  });

  test.each<[string, Volume['status'], object?]>([
    ['what is not there yet', { backend: { state: 'Making', host: 'h1' } }],
    ['what is as large', { backend: { ...made, size: '10240Mi' } }],
    ['what was made before sizes were told', { backend: { state: 'Made' }, capacity: '10Gi' }],
    ['what is being deleted', { backend: made }, { deletionTimestamp: timestamp(nowMs) }],
  ])('leaves %s', (_, status, metadata) => expect(grow(status, [able('h1')], metadata)).toBeUndefined());

  test('gives it to a host that can, until that says that this size is there', () => {
    expect(grow({ backend: { state: 'Made' }, capacity: '5Gi' }, [host('h1'), able('h2')])).toEqual({
      resize: { state: 'Making', host: 'h2' },
    });
    expect(grow({ backend: made }, [host('h1')])).toMatchObject({
      resize: { state: 'Waiting', message: expect.stringContaining('new enough') },
    });
    const resize = { state: 'Making', host: 'h2' } as const;
    const early = [able('h2', [report(5 * 2 ** 30)])];
    expect(grow({ backend: made, resize }, early)).toEqual({ resize });
    const done = [able('h2', [report(10 * 2 ** 30)])];
    expect(grow({ backend: made, resize }, done)).toEqual({ backend: { ...made, size: '10Gi' } });
  });

  test('a disk that a machine may have open is as large as it was, and looked at again', () => {
    const resize = { state: 'Making', host: 'h2' } as const;
    const small = { ...report(10 * 2 ** 30), bytes: 5 * 2 ** 30 };
    const next = grow({ backend: made, resize }, [able('h2', [small])]);
    expect(next).toMatchObject({
      backend: made,
      resize: { state: 'Waiting', reason: 'InUse', message: expect.stringMatching(/restart it.*again at/) },
    });
    const late = { ...next!.resize!, retryAfter: timestamp(nowMs - 1) };
    expect(grow({ backend: made, resize: late }, [able('h2', [small])])).toMatchObject({
      resize: { state: 'Making', failures: 1 },
    });
  });

  test('one that is there, and smaller than is wanted by now, is made', () => {
    const making: Backend = { state: 'Making', host: 'h1' };
    const small = { ...report(10 * 2 ** 30), bytes: 5 * 2 ** 30 };
    expect(next(making, [host('h1', { orders: [small] })])).toEqual({ state: 'Made', host: 'h1', size: '5Gi' });
  });

  test('a failure is told and tried again, and what is there stays made', () => {
    const resize = { state: 'Making', host: 'h2' } as const;
    const next = grow({ backend: made, resize }, [able('h2', [report(10 * 2 ** 30, 'Failed')])]);
    expect(next).toMatchObject({
      resize: { state: 'Waiting', failures: 1, message: expect.stringMatching(/Host h2: no quota.*again at/) },
    });
    expect(next).not.toHaveProperty('backend');
  });
});

describe('healthOf()', () => {
  const mount = (more: Partial<MountReport> = {}): MountReport => ({
    ...{ name: 'vm', usable: true, reason: 'Healthy', message: '', bricks: { online: 3, total: 3 } },
    ...more,
  });
  const see = (...mounts: Partial<MountReport>[]) =>
    healthOf(
      volume(),
      mounts.map((one, index) =>
        host(`h${index}`, { mounts: [mount(one), mount({ name: 'other', reason: 'BrickDown' })] }),
      ),
    );

  test.each<[string, readonly Partial<MountReport>[], object]>([
    ['all well', [{}, {}], { reason: 'Healthy', hosts: 2, bricksOnline: 3, bricksTotal: 3 }],
    [
      'one host sees fewer bricks',
      [{}, { reason: 'BrickDown', bricks: { online: 2, total: 3 } }],
      { reason: 'BrickDown', bricksOnline: 2, message: expect.stringContaining('"gluster volume start vm force"') },
    ],
    [
      'one host is cut off',
      [{ splitBrain: 1 }, { usable: false, reason: 'QuorumLost' }],
      { reason: 'QuorumLost', message: expect.stringContaining('h1') },
    ],
    ['copies differ', [{ splitBrain: 2, healPending: 2 }], { reason: 'SplitBrain', splitBrain: 2 }],
    ['something to be copied', [{ healPending: 5 }], { reason: 'HealPending', healPending: 5 }],
    [
      'a brick that is away counts more than what it lacks',
      [{ reason: 'BrickDown', healPending: 5 }],
      { reason: 'BrickDown' },
    ],
    ['little room', [{ reason: 'NearlyFull' }], { reason: 'NearlyFull' }],
  ])('%s', (_, mounts, expected) => expect(see(...mounts)).toMatchObject(expected));

  test('nothing is known where nobody looks', () => {
    expect(healthOf(volume(), [host('h1'), old])).toBeUndefined();
    expect(usedOf(volume(), [host('h1'), old])).toBeUndefined();
    expect(usedOf(volume(), [host('h1', { mounts: [mount({ used: { u: 5, x: 2 ** 40 } })] })])).toBe('1Mi');
  });
});
