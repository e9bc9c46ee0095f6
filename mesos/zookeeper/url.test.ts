import { expect, test } from 'vitest';
import { describeZooKeeper, parseZooKeeperUrl } from './url.ts';

test.each([
  ['zk://h:2181/mesos', { servers: [{ host: 'h', port: 2181 }], credentials: undefined, path: '/mesos' }],
  [
    'zk://10.0.0.1:1,h,[::1]:3/a/b',
    {
      servers: [
        { host: '10.0.0.1', port: 1 },
        { host: 'h', port: 2181 },
        { host: '::1', port: 3 },
      ],
      credentials: undefined,
      path: '/a/b',
    },
  ],
  ['zk://jo:s3cret@h:1/m', { servers: [{ host: 'h', port: 1 }], credentials: 'jo:s3cret', path: '/m' }],
])('parseZooKeeperUrl(%j)', (text, url) => {
  expect(parseZooKeeperUrl(text)).toEqual(url);
});

test.each([
  'zk://h:2181',
  'zk://h:2181/',
  'zk://h:2181/a//b',
  'zk:///mesos',
  'zk://h:x/m',
  'http://h/m',
  'zk://h,,g/m',
])('parseZooKeeperUrl(%j) throws TypeError', (text) => {
  expect(() => parseZooKeeperUrl(text)).toThrow(TypeError);
});

test('what is said of a URL does not repeat its password', () => {
  expect(describeZooKeeper(parseZooKeeperUrl('zk://jo:s3cret@h:1,[::1]:2/m'))).toBe('zk://h:1,[::1]:2/m');
  expect(() => parseZooKeeperUrl('zk://jo:s3cret@h:1')).toThrow(/^(?!.*s3cret)/);
});
