import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { readLimits } from './limits.ts';

const v1 = (controllers: string) =>
  `31 23 0:26 / /sys/fs/cgroup/x rw,nosuid shared:9 - cgroup cgroup rw,${controllers}\n`;
const v2 = '35 24 0:30 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n';
const disk = '22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw,errors=remount-ro\n';

const capable = 'Name:\tx\nCapEff:\t000001ffffffffff\n';
const incapable = 'Name:\tx\nCapEff:\t000001fffeffffff\n';

test.each([
  ['version 1', disk + v1('cpu,cpuacct') + v1('memory'), '', capable, [true, true]],
  ['version 2', disk + v2, 'cpuset cpu io memory pids\n', capable, [true, true]],
  ['both, with the controllers in version 1', v1('cpu') + v1('memory') + v2, 'hugetlb\n', capable, [true, true]],
  ['version 1 without memory', v1('cpu,cpuacct') + v1('devices'), '', capable, [true, false]],
  ['version 2 that hands down nothing', disk + v2, '\n', capable, [false, false]],
  ['no version', disk, '', capable, [false, false]],
  ['version 1, without the right to use that of memory', v1('cpu') + v1('memory'), '', incapable, [true, false]],
])('control groups of %s', (_, mountinfo, controllers, status, [processors, memory]) => {
  const { limits, why } = readLimits(mountinfo, status, { read: () => controllers, names: () => [] });
  expect(limits).toEqual({ processors, memory, weights: false });
  expect(why).toHaveLength([processors, memory].filter((limited) => !limited).length);
});

const top = '/sys/fs/cgroup';
test.each([
  ['BFQ in version 1, seen at the top', v1('blkio'), { [`${top}/x`]: ['blkio.bfq.io_serviced'] }, true],
  ['a group of version 1', v1('blkio'), { [`${top}/x`]: ['tasks', 'blkio.weight'] }, true],
  ['version 1 that only counts', v1('blkio'), { [`${top}/x`]: ['blkio.throttle.io_serviced', 'machine'] }, false],
  [
    'version 2, seen below the top',
    v2,
    { [top]: ['machine.slice'], [`${top}/machine.slice`]: ['io.bfq.weight'] },
    true,
  ],
  ['version 2 that only counts', v2, { [top]: ['a.slice'], [`${top}/a.slice`]: ['io.stat'] }, false],
  ['another hierarchy', v1('memory'), { [`${top}/x`]: ['blkio.weight'] }, false],
])('requests to disks are weighed or not: %s', (_, mountinfo, groups: Record<string, readonly string[]>, weights) => {
  const files = { read: () => 'cpu io memory\n', names: (directory: string) => groups[directory] ?? [] };
  expect(readLimits(mountinfo, capable, files).limits.weights).toBe(weights);
});

test('what the kernel of this computer says of itself can be read', () => {
  const [mountinfo, status] = ['mountinfo', 'status'].map((name) => readFileSync(`/proc/self/${name}`, 'utf8'));
  expect(typeof readLimits(mountinfo!, status!).limits.weights).toBe('boolean');
});
