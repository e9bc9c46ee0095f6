import { expect, test } from 'vitest';
import { parseMountinfo } from '../volumes/mountinfo.ts';
import { inView, mountAround, ownView } from './view.ts';

const entries = parseMountinfo(
  [
    '20 1 8:1 / / rw - ext4 /dev/sda rw',
    '30 20 0:40 / /srv/images rw - fuse.glusterfs a:/images rw',
    '31 20 0:41 / /srv/images rw - fuse.glusterfs b:/images rw',
    '32 20 0:42 / /srv/images-of-others rw - tmpfs none rw',
  ].join('\n'),
);

test.each([
  ['/srv/images', 31],
  ['/srv/images/below/it', 31],
  ['/srv/images-of', 20],
  ['/srv', 20],
])('the mount around %s is the topmost of the nearest point', (directory, id) => {
  expect(mountAround(directory, entries)?.id).toBe(id);
});

test('without a root there is none', () => expect(mountAround('/srv', entries.slice(1))).toBeUndefined());

test('what is asked where a pretended host is enters it first', () => {
  expect(inView(ownView, ['stat', '/a'])).toEqual(['stat', '/a']);
  expect(() => inView({ pid: () => undefined }, ['mount', '/a'])).toThrow('off');
  expect(inView({ pid: () => '7' }, ['stat', '/a']).slice(0, 2)).toEqual(['nsenter', '--target=7']);
});
