import { expect, test } from 'vitest';
import { requireSafeHost, requireSafeServers, requireSafeVolume, type VolumeSpec } from './layout.ts';
import { parseMountinfo } from './mountinfo.ts';

const good: VolumeSpec = {
  ...{
    uid: '0f8fad5b-d9cb-469f-a165-70867728950e',
    installation: 'i',
    type: 'Disk',
    bytes: 1,
    glusterVolume: 'vm-1_a',
  },
};

test('what could become another path or argument is refused', () => {
  requireSafeVolume(good);
  requireSafeServers(['192.0.2.1', 'host.example', '2001:db8::1']);
  for (const wrong of [
    { uid: '../x' },
    { uid: good.uid.toUpperCase() },
    { bytes: 0 },
    { bytes: Number.NaN },
    { glusterVolume: '../vm' },
    { glusterVolume: '-o' },
    { glusterVolume: 'vm.log' },
  ])
    expect(() => requireSafeVolume({ ...good, ...wrong }), JSON.stringify(wrong)).toThrow(TypeError);
  for (const servers of [[], ['--x'], ['a/b'], ['a', '']]) expect(() => requireSafeServers(servers)).toThrow(TypeError);
  for (const host of ['', '.', '..', 'a/b']) expect(() => requireSafeHost(host)).toThrow(TypeError);
});

test('parseMountinfo() finds points and sources with blanks in them, with and without optional fields', () => {
  const text =
    '171 27 0:46 / /a\\040b rw,relatime shared:3 master:1 - fuse.glusterfs h:/v\\134m rw,user_id=0\n' +
    '172 27 0:47 / /sys/fs/cgroup/cpu noexec,ro - cgroup cgroup rw,cpu,cpuacct\n';
  expect(parseMountinfo(text)).toEqual([
    {
      ...{ id: 171, device: '0:46', point: '/a b', type: 'fuse.glusterfs', source: 'h:/v\\m', options: 'rw,user_id=0' },
      readOnly: false,
    },
    {
      id: 172,
      device: '0:47',
      point: '/sys/fs/cgroup/cpu',
      type: 'cgroup',
      source: 'cgroup',
      options: 'rw,cpu,cpuacct',
      readOnly: true,
    },
  ]);
});
