import { expect, test } from 'vitest';
import { requireSafeHost, requireSafeVolume, type VolumeSpec } from './layout.ts';
import { parseMountinfo } from './mountinfo.ts';

const good: VolumeSpec = {
  ...{ uid: '0f8fad5b-d9cb-469f-a165-70867728950e', installation: 'i', type: 'Disk', bytes: 1 },
  gluster: { name: 'vm-1_a', servers: ['192.0.2.1', 'host.example', '2001:db8::1'] },
};

test('requireSafeVolume() refuses what could become another path or argument', () => {
  requireSafeVolume(good);
  const { gluster } = good;
  for (const wrong of [
    { uid: '../x' },
    { uid: good.uid.toUpperCase() },
    { bytes: 0 },
    { bytes: Number.NaN },
    { gluster: { ...gluster, name: '../vm' } },
    { gluster: { ...gluster, name: '-o' } },
    { gluster: { ...gluster, name: 'vm.log' } },
    { gluster: { ...gluster, servers: [] } },
    { gluster: { ...gluster, servers: ['--x'] } },
    { gluster: { ...gluster, servers: ['a/b'] } },
  ])
    expect(() => requireSafeVolume({ ...good, ...wrong }), JSON.stringify(wrong)).toThrow(TypeError);
  for (const host of ['', '.', '..', 'a/b']) expect(() => requireSafeHost(host)).toThrow(TypeError);
});

test('parseMountinfo() finds points and sources with blanks in them, with and without optional fields', () => {
  const text =
    '171 27 0:46 / /a\\040b rw,relatime shared:3 master:1 - fuse.glusterfs h:/v\\134m rw,user_id=0\n' +
    '172 27 0:47 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct\n';
  expect(parseMountinfo(text)).toEqual([
    { id: 171, point: '/a b', type: 'fuse.glusterfs', source: 'h:/v\\m', options: 'rw,user_id=0' },
    { id: 172, point: '/sys/fs/cgroup/cpu', type: 'cgroup', source: 'cgroup', options: 'rw,cpu,cpuacct' },
  ]);
});
