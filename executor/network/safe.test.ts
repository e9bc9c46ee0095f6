import { isIPv4 } from 'node:net';
import { expect, test } from 'vitest';
import type { MachineNetwork } from '#lib/api/launch.ts';
import { fc } from '#test/properties.ts';
import { hostileNumber, hostileText } from '../testing/hostile.ts';
import { guestFiles } from './dhcp.ts';
import { requireSafe } from './safe.ts';

const uid = '0e3a1f6c-0000-4000-8000-000000000001';
const harmless: MachineNetwork = {
  ...{ subnet: 's', subnetUID: 'u', vni: 5, ip: '10.0.0.2', prefix: 24, gateway: '10.0.0.1', mac: '52:54:00:00:00:01' },
  ...{ mtu: 1450, dns: ['10.0.0.3'], domain: 'lab.example', leaseSeconds: 3600 },
};

const label = fc.stringMatching(/^([a-z0-9]{1,4}|\d{1,3}[smhdw]|ignore|infinite)$/);
const hostname = fc.oneof(label, hostileText);
const change: fc.Arbitrary<Partial<MachineNetwork>> = fc.oneof(
  hostileText.map((ip) => ({ ip })),
  hostileText.map((gateway) => ({ gateway })),
  hostileText.map((mac) => ({ mac })),
  fc.array(hostileText, { maxLength: 2 }).map((dns) => ({ dns })),
  fc.oneof(hostileText, label).map((domain) => ({ domain })),
  hostileNumber.map((prefix) => ({ prefix })),
  hostileNumber.map((mtu) => ({ mtu })),
  hostileNumber.map((leaseSeconds) => ({ leaseSeconds })),
  fc.constant({}),
);

test('whatever a launch says of a network, dnsmasq reads one guest with its own options, or it is refused by name', () => {
  let accepted = 0;
  fc.assert(
    fc.property(hostname, change, (name, changes) => {
      const network = { ...harmless, ...changes };
      try {
        requireSafe(name, network);
      } catch (error) {
        expect(error).toBeInstanceOf(TypeError);
        expect(['hostname', ...Object.keys(changes)]).toContain(
          /^Cannot use (\w+) /.exec((error as Error).message)?.[1],
        );
        return;
      }
      accepted += 1;
      const { hosts, options } = guestFiles([{ uid, hostname: name, network }]);
      const [mac, tag, ip, ...rest] = oneLine(hosts).split(',');
      expect([mac, tag?.startsWith('set:'), ip, rest.at(-1)]).toEqual([network.mac, true, network.ip, '3600']);
      // What is left is a name, and looks to dnsmasq like nothing else.
      for (const part of rest.slice(0, -1)) expect([part, isSpecial(part)]).toEqual([name, false]);
      const kinds = options
        .split('\n')
        .filter(Boolean)
        .map((line) => /^tag:m[0-9a-f]{32},option:([a-z-]+)(,[\w.,-]+)?$/.exec(line)?.[1]);
      expect(kinds).toEqual(['router', 'dns-server', ...(network.domain === '' ? [] : ['domain-name']), 'mtu']);
      for (const server of network.dns) expect(isIPv4(server)).toBe(true);
    }),
    { numRuns: 4_000 },
  );
  expect(accepted).toBeGreaterThan(300);
});

function oneLine(text: string): string {
  const [line, ...rest] = text.split('\n');
  expect(rest).toEqual(['']);
  return line!;
}

function isSpecial(part: string): boolean {
  return /^(ignore|infinite|\d+[smhdw]?)$/i.test(part) || /[:#*,\s]/.test(part);
}

test('where the site gives the addresses there is a network of it, and nothing that we would give', () => {
  const outside = {
    ...harmless,
    segment: { bridge: 'lan' },
    external: true,
    ip: '',
    gateway: '',
    dns: [],
    domain: '',
  } as const;
  requireSafe('web', outside);
  const wrong: readonly Partial<MachineNetwork>[] = [
    { segment: undefined as never },
    { ip: '10.0.0.2' },
    { gateway: '10.0.0.1' },
    { dns: ['10.0.0.3'] },
    { domain: 'lab.example' },
    { egress: 'NAT', gateway: '10.0.0.1' },
    { probe: true },
    { external: 'yes' as never },
  ];
  for (const each of wrong)
    expect(() => requireSafe('web', { ...outside, ...each })).toThrow(/^Cannot use (external|gateway) /);
  const { external: _, ...managed } = outside;
  expect(() => requireSafe('web', managed)).toThrow('Cannot use ip ""');
});

test('a way out needs a gateway', () => {
  requireSafe('web', { ...harmless, egress: 'NAT' });
  expect(() => requireSafe('web', { ...harmless, gateway: '', egress: 'NAT' })).toThrow('Cannot use gateway ""');
  expect(() => requireSafe('web', { ...harmless, egress: 'Bridge' as never })).toThrow('Cannot use egress "Bridge"');
});
