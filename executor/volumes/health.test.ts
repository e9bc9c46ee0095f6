import { describe, expect, test } from 'vitest';
import { parseReplica } from './hand/probe.ts';
import { judge, type Probe, type Probed } from './health.ts';

const entry = {
  id: 1,
  device: '0:1',
  point: '/m',
  type: 'fuse.glusterfs',
  source: 's:/vm',
  options: '',
  readOnly: false,
};
const alive = { entry, clients: [{ pid: 1, startTime: 1 }] };
const up = (...bricks: number[]) => ({ up: bricks.map(Boolean), quorum: 'auto' });
const probed = (changes: Partial<Probe>): Probed => ({
  probe: { replicas: [up(1, 1, 1)], single: 0, totalBytes: 100, freeBytes: 50, used: {}, ...changes },
});

describe('judge()', () => {
  test.each<[string, Probed, object]>([
    ['all bricks', probed({}), { reason: 'Healthy', usable: true, safe: true }],
    [
      'a brick down',
      probed({ replicas: [up(1, 1, 1), up(1, 0, 1)] }),
      { reason: 'BrickDown', usable: true, bricks: { online: 5, total: 6 } },
    ],
    ['little room', probed({ freeBytes: 4 }), { reason: 'NearlyFull', usable: true }],
    ['no room', { error: 'x', code: 'ENOSPC' }, { reason: 'NearlyFull', usable: true }],
    ['two copies', probed({ replicas: [up(1, 1)] }), { usable: true, safe: false }],
    ['no quorum asked for', probed({ replicas: [{ ...up(1, 1, 1), quorum: 'none' }] }), { usable: true, safe: false }],
    [
      'bricks without copies',
      probed({ replicas: [], single: 2 }),
      { usable: true, safe: false, bricks: { online: 2, total: 2 } },
    ],
    ['too few bricks', { error: 'x', code: 'ENOTCONN' }, { reason: 'QuorumLost', usable: false }],
    ['read-only', { error: 'x', code: 'EROFS' }, { reason: 'QuorumLost', usable: false }],
    ['another error', { error: 'x' }, { reason: 'VolumeFailed', usable: false, message: 'x' }],
    ['no answer', 'Hung', { reason: 'Hung', usable: false }],
  ])('%s', (_, answer, expected) => expect(judge(alive, answer)).toMatchObject(expected));

  test('without its client a mount is stale whatever it answers', () => {
    for (const answer of [probed({}), { error: 'x', code: 'ENOTCONN' }, 'Hung'] as const)
      expect(judge({ entry, clients: [] }, answer)).toMatchObject({ reason: 'Stale', usable: false });
    expect(judge({ clients: [] }, probed({}))).toMatchObject({ reason: 'Unmounted', usable: false });
  });
});

test('parseReplica() reads what Gluster 10 tells', () => {
  const text = `[cluster/replicate.vm-replicate-0]
child_count = 3
child_up[0] = 1
halo_child_up[0] = 0
child_up[1] = 0
halo_child_up[1] = 1
child_up[2] = -1
quorum-type = auto
up = 1
`;
  expect(parseReplica(text)).toEqual({ up: [true, false, false], quorum: 'auto' });
});
