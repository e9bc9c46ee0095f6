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
  const { limits, why } = readLimits(mountinfo, status, () => controllers);
  expect(limits).toEqual({ processors, memory });
  expect(why).toHaveLength([processors, memory].filter((limited) => !limited).length);
});
