import type { LookupFunction } from 'node:net';
import { expect, test } from 'vitest';
import { openStore, serve } from '../testing/image-store.ts';
import { addressRule } from './addresses.ts';

test.each([
  ...['0.0.0.0', '10.1.2.3', '100.64.0.1', '100.100.100.200', '127.0.0.1', '127.255.255.254', '168.63.129.16'],
  ...['169.254.169.254', '172.16.0.1', '172.31.255.255', '192.0.0.192', '192.168.1.1', '198.18.0.1'],
  ...['224.0.0.1', '239.1.1.1', '240.0.0.1', '255.255.255.255'],
  ...['::', '::1', '::ffff:127.0.0.1', '::ffff:8.8.8.8', '::127.0.0.1', '64:ff9b::7f00:1', '64:ff9b:1::1', '100::1'],
  ...[
    '2001::1',
    '2001:db8::1',
    '2002:7f00:1::',
    'fc00::1',
    'fd00:ec2::254',
    'fe80::1',
    'fe80::1%lo',
    'fec0::1',
    'ff02::1',
  ],
  ...['', 'localhost', '1', '0x7f.1', '127.1'],
])('%j is not public', (address) => {
  expect(addressRule([])(address)).toBe(false);
});

test.each(['1.1.1.1', '8.8.8.8', '172.32.0.1', '100.128.0.1', '192.169.0.1', '223.255.255.255', '2606:4700::1111'])(
  '%s is public',
  (address) => expect(addressRule([])(address)).toBe(true),
);

test('what is allowed is allowed in whatever form it comes, and nothing beside it', () => {
  const isAllowed = addressRule(['10.20.0.0/16', 'fd00:1::/32']);
  for (const address of ['10.20.1.1', '::ffff:10.20.1.1', 'fd00:1::5']) expect(isAllowed(address)).toBe(true);
  for (const address of ['10.21.1.1', '::ffff:10.21.1.1', 'fd00:2::5', '127.0.0.1'])
    expect(isAllowed(address)).toBe(false);
});

test.each(['10.0.0.0', '10.0.0.0/33', 'fd00::/129', 'example.org/8', '10.0.0/8', ''])('%j is no range', (range) => {
  expect(() => addressRule([range])).toThrow(`"${range}" is not a range`);
});

const refused = { reason: 'AddressRefused', terminal: true };

test.each([
  ...['http://127.0.0.1', 'http://2130706433', 'http://0x7f000001', 'http://127.1', 'http://[::ffff:127.0.0.1]'],
  ...['http://[::1]', 'http://localhost', 'http://0', 'https://127.0.0.1'],
])('a source at %s is not connected to', async (place) => {
  await using store = await openStore();
  const address = place.includes('::1]') ? '::1' : '127.0.0.1';
  await using server = await serve((_, response) => void response.end('CANARY'), address);
  const run = store.run({ http: { url: `${place}:${server.port}/` } }, {}, { allowPrivateSources: [] });
  await expect(run).rejects.toMatchObject(refused);
  expect(server.connections()).toBe(0);
});

test.each(['http://169.254.169.254/latest/meta-data/', 'http://[fd00:ec2::254]/', 'http://[fe80::1]/'])(
  '%s is not asked',
  async (url) => {
    await using store = await openStore();
    await expect(store.run({ http: { url } }, {}, { allowPrivateSources: [] })).rejects.toMatchObject(refused);
  },
);

/** One loopback address is the mirror of the site; another one stands for everything else that only the host reaches. */
const allowPrivateSources = ['127.0.0.1/32'];

test('a redirect to a private address is not followed', async () => {
  await using store = await openStore();
  await using canary = await serve((_, response) => void response.end('CANARY'), '127.0.0.2');
  await using mirror = await serve((_, response) => void response.writeHead(302, { location: canary.url }).end());
  await expect(store.run({ http: { url: mirror.url } }, {}, { allowPrivateSources })).rejects.toMatchObject(refused);
  expect([mirror.connections(), canary.connections()]).toEqual([1, 0]);
});

/** Answers the nth question with the nth address, and from then on with the last. */
function rebinding(...answers: readonly string[]) {
  let asked = 0;
  const lookup: LookupFunction = (_, __, callback) => {
    const address = answers[Math.min(asked++, answers.length - 1)]!;
    callback(null, [{ address, family: 4 }]);
  };
  return { lookup, asked: () => asked };
}

test('a name that says something else the second time gains nothing', async () => {
  await using store = await openStore();
  await using mirror = await serve((_, response) => {
    response.writeHead(302, { location: '/next', connection: 'close' }).end();
  });
  await using canary = await serve((_, response) => void response.end('CANARY'), '127.0.0.2');
  // Both at one port would be needed to reach the canary; the refusal comes before a connection is tried at all.
  const { lookup, asked } = rebinding('127.0.0.1', '127.0.0.2');
  const url = `http://mirror.example:${mirror.port}/`;
  const run = store.run({ http: { url } }, {}, { allowPrivateSources, lookup });
  await expect(run).rejects.toMatchObject({ ...refused, message: expect.stringContaining('127.0.0.2') });
  expect([asked(), mirror.connections(), canary.connections()]).toEqual([2, 1, 0]);
});

test('of the addresses of a name only those that are allowed are connected to', async () => {
  await using store = await openStore();
  await using mirror = await serve((_, response) => void response.writeHead(404).end());
  const lookup: LookupFunction = (_, __, callback) =>
    callback(
      null,
      ['127.0.0.2', '10.0.0.1', '127.0.0.1'].map((address) => ({ address, family: 4 })),
    );
  const url = `http://mirror.example:${mirror.port}/`;
  const run = store.run({ http: { url } }, {}, { allowPrivateSources, lookup });
  await expect(run).rejects.toMatchObject({ reason: 'HTTP404' });
  expect(mirror.connections()).toBe(1);
});

test.each([
  ['a file', 'file:///etc/hostname', 'UnsupportedURL'],
  ['data', 'data:text/plain,CANARY', 'UnsupportedURL'],
  ['another protocol', 'ftp://127.0.0.1/', 'UnsupportedURL'],
  ['nonsense', 'http://[', 'UnsupportedURL'],
  ['itself', '/', 'TooManyRedirects'],
])('a redirect to %s is refused', async (_, location, reason) => {
  await using store = await openStore();
  await using server = await serve((__, response) => void response.writeHead(302, { location }).end());
  await expect(store.run({ http: { url: server.url } })).rejects.toMatchObject({ reason, terminal: true });
  expect([store.stored(), store.incoming()]).toEqual([[], []]);
});
