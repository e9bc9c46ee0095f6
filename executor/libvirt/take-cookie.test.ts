import { expect, test } from 'vitest';
import { takenCookie } from './take-cookie.ts';
import { parseXml } from './xml.ts';

const uuid = '1fcd0f6c-1b3a-4d09-9f7d-6b3f5a0c1d2e';
const domain = { name: `cf-${uuid}`, uuid, id: 3 };
const host = '<hostname>one</hostname><hostuuid>5a0c1d2e-1b3a-4d09-9f7d-6b3f5a0c1d2e</hostuuid>';
const theirs = `<domain type="qemu"><name>cf-${uuid}</name><devices><disk><source file="/etc/shadow"/></disk></devices></domain>`;
const ours = `<domain type="qemu"><name>cf-${uuid}</name><memory unit="KiB">98304</memory></domain>`;

function cookie({ name = domain.name, id = uuid, from = host } = {}): Buffer {
  const known = `<name>${name}</name>\n  <uuid>${id}</uuid>${from}<feature name="persistent"/>${theirs}<network/><statistics/>`;
  return Buffer.from(`<qemu-migration>\n  ${known}</qemu-migration>\0`);
}

test('what is stored is what this host made, whatever the other one says', () => {
  const taken = takenCookie(cookie(), domain, ours).toString();
  expect(taken).not.toContain('/etc/shadow');
  expect(taken.endsWith('\0')).toBe(true);
  const { 'qemu-migration': root } = parseXml(taken.slice(0, -1)) as { 'qemu-migration': Record<string, unknown> };
  expect(root).toMatchObject({ name: domain.name, uuid, hostname: 'one', domain: { name: domain.name } });
  expect(root.domain).toMatchObject({ memory: { '#text': '98304' } });
});

test.each([
  ['of another machine', cookie({ name: 'cf-other' })],
  ['of another uuid', cookie({ id: '00000000-0000-4000-8000-000000000000' })],
  ['of no host', cookie({ from: '' })],
  ['of a host that is no uuid', cookie({ from: '<hostname>one</hostname><hostuuid>&lt;domain/&gt;</hostuuid>' })],
  ['of two names', cookie({ name: `${domain.name}</name><name>x` })],
  ['that is something else', Buffer.from('<domain/>')],
  ['that is nothing', Buffer.alloc(0)],
])('a cookie %s is refused', (_, text) => {
  expect(() => takenCookie(text, domain, ours)).toThrow('What the other host has sent');
});
