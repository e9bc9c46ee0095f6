import { expect, test } from 'vitest';
import { UsageError } from '#lib/std/main.ts';
import { parseConfig, readConfig } from './config.ts';

const good = { hypervisor: 'sim', root: '/r', imageStore: '/i', importDir: '/m' };

test('parseConfig() fills in defaults', () => {
  expect(parseConfig(good)).toEqual({
    ...good,
    allowPrivateSources: [],
    allowPrivateEgress: [],
    bootIdFile: '/proc/sys/kernel/random/boot_id',
    sim: { bootMs: 1000, agents: false },
  });
});

test('a host that names Gluster volumes is a server of them itself, unless told', () => {
  const volumes = ['vm'];
  expect(parseConfig({ ...good, gluster: { volumes } }).gluster).toEqual({ volumes, servers: ['localhost'] });
  const told = { volumes, servers: ['192.0.2.1'], command: ['sh', 'gluster.sh'] };
  expect(parseConfig({ ...good, gluster: told }).gluster).toEqual(told);
});

test('a cache of images has a size, and a pace unless told', () => {
  const imageCache = { directory: '/c', sizeGiB: 0.5 };
  const read = { directory: '/c', bytes: 2 ** 29 };
  expect(parseConfig({ ...good, imageCache }).imageCache).toEqual({ ...read, bytesPerSecond: 200 * 2 ** 20 });
  const slow = parseConfig({ ...good, imageCache: { ...imageCache, mibPerSecond: 1 } });
  expect(slow.imageCache).toEqual({ ...read, bytesPerSecond: 2 ** 20 });
});

test.each([
  [{ ...good, hypervisor: 'xen' }, 'hypervisor'],
  [{ ...good, root: 'relative' }, 'root'],
  [{ ...good, imageStore: undefined }, 'imageStore'],
  [{ ...good, consoleListen: '127.0.0.1' }, 'consoleListen'],
  [{ ...good, kvm: 'yes' }, 'kvm'],
  [{ ...good, allowPrivateSources: '10.0.0.0/8' }, 'allowPrivateSources'],
  [{ ...good, allowPrivateSources: ['10.0.0.0/99'] }, 'allowPrivateSources: "10.0.0.0/99"'],
  [{ ...good, allowPrivateEgress: ['10.0.0.0'] }, 'allowPrivateEgress: "10.0.0.0"'],
  [{ ...good, segments: ['br0'] }, 'segments must be'],
  [{ ...good, segments: { bridges: 'br0' } }, 'segments must be'],
  [{ ...good, segments: { vlans: [5] } }, 'segments must be'],
  [{ ...good, allowPrivateEgress: ['fd00::/8'] }, 'allowPrivateEgress: "fd00::/8" is not a range of IPv4'],
  [{ ...good, sim: { bootMs: 'soon' } }, 'bootMs'],
  [{ ...good, sim: { agents: 'all' } }, 'agents'],
  [{ ...good, gluster: {} }, 'gluster must be'],
  [{ ...good, gluster: { volumes: ['vm'], server: ['a'] } }, 'gluster must be'],
  [{ ...good, gluster: { volumes: ['../vm'] } }, 'name of a Gluster volume'],
  [{ ...good, gluster: { volumes: ['vm'], servers: ['-x'] } }, 'Gluster servers'],
  [{ ...good, imageCache: { directory: 'cache', sizeGiB: 1 } }, 'imageCache must be'],
  [{ ...good, imageCache: { directory: '/c' } }, 'imageCache must be'],
  [{ ...good, imageCache: { directory: '/c', sizeGiB: 0 } }, 'imageCache must be'],
  [{ ...good, imageCache: { directory: '/c', sizeGiB: 1, mibPerSecond: -1 } }, 'imageCache must be'],
  [{ ...good, imageCache: { directory: '/c', sizeGiB: 1, size: 1 } }, 'imageCache must be'],
  [{ ...good, hypervizor: 'sim' }, 'hypervizor'],
  [[], 'object'],
])('parseConfig() of %j names %s', (value, name) => {
  expect(() => parseConfig(value)).toThrow(name);
});

test('readConfig() of a missing file says how to name another', () => {
  expect(() => readConfig('/nonexistent/executor.json')).toThrow(UsageError);
  expect(() => readConfig('/nonexistent/executor.json')).toThrow('CF_EXECUTOR_CONFIG');
});
