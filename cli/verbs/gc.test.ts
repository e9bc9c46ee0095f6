import { expect, test } from 'vitest';
import type { Cluster } from '#lib/api/generated/cluster.ts';
import type { Volume } from '#lib/api/generated/volume.ts';
import { chosen, findings, print, removable } from './gc.ts';

const nowMs = Date.parse('2026-01-11T00:00:00Z');
const item = (uid: string, more: object = {}) => ({
  ...{ uid, glusterVolume: 'vm', type: 'Disk', used: '10Mi', made: '2026-01-01T00:00:00Z', reason: 'NoVolume' },
  ...more,
});
const clusters = (items: readonly object[], more: object = {}) =>
  [
    { metadata: { name: 'lab' }, status: { orphanVolumes: { count: items.length, items, ...more } } },
  ] as unknown as Cluster[];
const volumes = (...uids: readonly string[]) => uids.map((uid) => ({ metadata: { uid } })) as unknown as Volume[];

function printed(...arguments_: Parameters<typeof findings>): readonly string[] {
  const lines: string[] = [];
  const out = { isTerminal: false, line: (text: string) => lines.push(text), progress: () => {}, error: () => {} };
  print(findings(...arguments_), out, nowMs);
  return lines.map((line) => line.replaceAll(/ {2,}/g, ' | '));
}

test('what is there is shown with its size, its age and why nobody owns it', () => {
  const items = [item('a'), item('b', { reason: 'InUse', message: 'Host h1 has it in use' })];
  expect(printed(clusters(items, { count: 5, unmarked: 2 }), [])).toEqual([
    'CLUSTER | GLUSTER | UID | TYPE | USED | AGE | WHY',
    'lab | vm | a | Disk | 10Mi | 10d | no Volume has this uid',
    'lab | vm | b | Disk | 10Mi | 10d | no Volume has this uid, but it is in use: Host h1 has it in use',
    'lab: and 3 more, which are shown when these are gone',
    'lab: 2 directories without a mark (volume.json): look at them on a host, in cf/',
  ]);
  expect(printed(clusters([]), [])).toEqual(['Nothing was found that belongs to no Volume.']);
});

test('what has a Volume by now, in whichever Cluster, is neither shown nor removed', () => {
  const [found] = findings(clusters([item('a'), item('b')]), volumes('a'));
  expect(removable(found!.items)).toEqual(['b']);
});

test('what is in use, or on its way out, is not removed; what is named alone is', () => {
  const items = [item('a'), item('b', { reason: 'InUse' }), item('c', { reason: 'Removing' }), item('d')];
  const found = findings(clusters(items), []);
  expect(removable(found[0]!.items)).toEqual(['a', 'd']);
  expect(removable(chosen(found, ['d', 'b'])[0]!.items)).toEqual(['d']);
  expect(() => chosen(found, ['e'])).toThrow('under the uid "e"');
});
