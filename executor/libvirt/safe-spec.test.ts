import { expect, test } from 'vitest';
import { fc } from '#test/properties.ts';
import type { DomainSpec } from '../hypervisor.ts';
import { hostileNumber, hostilePath, hostileText } from '../testing/hostile.ts';
import { rowsOf } from '../testing/xml-rows.ts';
import { domainXml, readDomainXml } from './domain-xml.ts';

/** Every value is another one, so that its places in the XML are known by it. */
const harmless = {
  uid: '0e3a1f6c-0000-4000-8000-000000000001',
  ...{ installation: 'INSTALLATION', namespace: 'NAMESPACE', name: 'NAME', attempt: 23, cores: 17, memoryMiB: 4099 },
  ...{ rootDisk: '/ROOT', seedDisk: '/SEED', consoleSocket: '/SOCKET', consoleLog: '/LOG', vncSocket: '/SCREEN' },
  ...{ rootDiskLimits: { bytesPerSecond: 1_000_003 }, ioWeight: 503 },
  dataDisks: [{ name: 'data-disk', path: '/DATA', limits: { requestsPerSecond: 1_000_033 } }],
  nics: [{ tap: 'TAP', bridge: 'BRIDGE', mac: '52:54:00:aa:bb:cc', mtu: 1451 }],
  volumes: [
    { name: 'share-tag', type: 'SharedFilesystem', path: '/SHARE' },
    { name: 'disk-serial', type: 'Disk', path: '/DISK' },
  ],
} as const satisfies DomainSpec;
const harmlessImage = { path: '/IMAGE', format: 'raw' } as const;
const host = { kvm: false, limits: { processors: true, memory: false, weights: true } };
const harmlessTree = rowsOf(domainXml(harmless, harmlessImage, host));

/** Which fields differ, and how. */
type Change = { readonly field: string; readonly from: string; readonly value: string | number };

const hostileSocket = hostilePath.filter((path) => Buffer.byteLength(path) <= 107);
const named = (field: string, from: string, value: fc.Arbitrary<string | number>) =>
  value.map((each): Change => ({ field, from, value: each }));
const change: fc.Arbitrary<Change> = fc.oneof(
  named('uid', harmless.uid, hostileText),
  named('installation', 'INSTALLATION', hostileText),
  named('namespace', 'NAMESPACE', hostileText),
  named('name', 'NAME', hostileText),
  named('attempt', '23', hostileNumber),
  named('cores', '17', hostileNumber),
  named('memoryMiB', '4099', hostileNumber),
  named('rootDisk', '/ROOT', hostilePath),
  named('seedDisk', '/SEED', hostilePath),
  named('consoleSocket', '/SOCKET', hostileSocket),
  named('consoleLog', '/LOG', hostilePath),
  named('vncSocket', '/SCREEN', hostileSocket),
  named('data disk', 'data-disk', hostileText),
  named('path of a data disk', '/DATA', hostilePath),
  named('limit of a disk', '1000033', hostileNumber),
  named('ioWeight', '503', hostileNumber),
  named('tap', 'TAP', hostileText),
  named('bridge', 'BRIDGE', hostileText),
  named('mac', '52:54:00:aa:bb:cc', hostileText),
  named('mtu', '1451', hostileNumber),
  named('backing file', '/IMAGE', hostilePath),
  named('volume', 'share-tag', hostileText),
  named('volume', 'disk-serial', hostileText),
  named('path of a volume', '/SHARE', hostilePath),
  named('path of a volume', '/DISK', hostilePath),
);

function specWith(changes: readonly Change[]): Parameters<typeof domainXml> {
  const values = Object.fromEntries(changes.map(({ field, value }) => [field, value]));
  const nic = { ...harmless.nics[0], ...pick(values, ['tap', 'bridge', 'mac', 'mtu']) };
  const put = <T extends object>(object: T): T =>
    JSON.parse(JSON.stringify(object), (_, value) => changes.find(({ from }) => from === value)?.value ?? value);
  const volumes = harmless.volumes.map(put);
  const image = { ...harmlessImage, path: String(values['backing file'] ?? harmlessImage.path) };
  const [disk] = harmless.dataDisks;
  const dataDisk = {
    name: String(values['data disk'] ?? disk.name),
    path: String(values['path of a data disk'] ?? disk.path),
    limits: { requestsPerSecond: Number(values['limit of a disk'] ?? disk.limits.requestsPerSecond) },
  };
  return [
    { ...harmless, ...pick(values, Object.keys(harmless)), nics: [nic], dataDisks: [dataDisk], volumes },
    image,
    host,
  ];
}

function pick(values: Record<string, unknown>, names: readonly string[]): object {
  return Object.fromEntries(Object.entries(values).filter(([name]) => names.includes(name)));
}

test('whatever a value holds, it is that value in the XML and nothing else, or is refused by its name', () => {
  let accepted = 0;
  fc.assert(
    fc.property(fc.uniqueArray(change, { minLength: 1, maxLength: 3, selector: ({ field }) => field }), (changes) => {
      let xml: string;
      try {
        xml = domainXml(...specWith(changes));
      } catch (error) {
        expect(error).toBeInstanceOf(TypeError);
        const fields = changes.map(({ field }) => field);
        expect(fields).toContain(/with the (.*?) ("|-?\d|NaN|Inf)/s.exec((error as Error).message)?.[1]);
        return;
      }
      accepted += 1;
      const valueFor = (text: string) => String(changes.find(({ from }) => from === text)?.value ?? text);
      // An element without text has no row for it.
      const expected = harmlessTree
        .map((row) => row.map(valueFor))
        .filter(([path, text]) => !(path?.endsWith('#') && text === ''));
      expect(rowsOf(xml)).toEqual(expected);
      const { installation, attempt } = specWith(changes)[0];
      expect(readDomainXml(xml).machine).toEqual({ installation, attempt });
    }),
    { numRuns: 12_000 },
  );
  // Both ways are taken: a check that refuses all would pass, too.
  expect(accepted).toBeGreaterThan(500);
});

test.each([
  ['name', 'a\0b'],
  ['name', 'a\nb'],
  ['namespace', '\ud800'],
  ['installation', ' i'],
  ['rootDisk', 'root.qcow2'],
  ['seedDisk', '/d/../etc/shadow'],
  ['cores', Number.NaN],
])('%s %j is refused with a sentence', (field, value) => {
  const spec = { ...harmless, [field]: value };
  expect(() => domainXml(spec, harmlessImage, host)).toThrow(`Cannot define a domain with the ${field} `);
});

test.each([
  '<x:constructor xmlns:x="u"><__proto__/></x:constructor>',
  '<constructor/><x prototype="1" __proto__="2"/>',
  `${'<a>'.repeat(200)}${'</a>'.repeat(200)}`,
])('metadata of others cannot hide a host: %s', (metadata) => {
  const xml = `<domain><uuid>u</uuid><metadata>${metadata}</metadata><memory unit="KiB">2048</memory><vcpu>3</vcpu></domain>`;
  expect(readDomainXml(xml)).toEqual({ uuid: 'u', cores: 3, memoryMiB: 2 });
});
