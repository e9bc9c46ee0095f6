/**
 * What a hostile launch brings to the programs that make networks (ip, nft, dnsmasq, sysctl): their arguments and their input, as they would
 * get them. Nothing is run.
 */
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test, vi } from 'vitest';
import type { MachineNetwork } from '#lib/api/launch.ts';
import { systemClock } from '#lib/std/clock.ts';
import { fc } from '#test/properties.ts';
import { hostileNumber, hostileText } from '../testing/hostile.ts';
import { hostNetworks } from './networks.ts';

type Call = readonly [program: string, args: readonly string[], input: string];

const { calls } = vi.hoisted(() => ({ calls: [] as Call[] }));

/** A host with a bridge and an interface of the site and a default route, and nothing of ours. */
const links = [
  { ifname: 'site', mtu: 9216, linkinfo: { info_kind: 'bridge' } },
  { ifname: 'site0', mtu: 9216, addr_info: [{ local: '192.0.2.1' }] },
];

vi.mock('../libvirt/command.ts', () => ({
  runCommand: async (program: string, args: readonly string[], options: { readonly input?: string } = {}) => {
    calls.push([program, args, options.input ?? '']);
    if (args.includes('route')) return JSON.stringify([{ dev: 'site0' }]);
    if (args.includes('vxlan') || args.includes('fdb') || args.includes('netns')) return '[]';
    return args.includes('-json') ? JSON.stringify(links) : '';
  },
}));

const uid = '0e3a1f6c-0000-4000-8000-000000000001';
const harmless: MachineNetwork = {
  ...{ subnet: 's', subnetUID: 'u', vni: 5, ip: '10.0.0.2', prefix: 24, gateway: '10.0.0.1', mac: '52:54:00:00:00:01' },
  ...{ mtu: 1450, dns: ['10.0.0.3'], domain: 'lab.example', leaseSeconds: 3600 },
};
const outside = { external: true, segment: { bridge: 'site' }, ip: '', gateway: '', dns: [], domain: '' } as const;
const kinds: readonly Partial<MachineNetwork>[] = [
  {},
  outside,
  { egress: 'NAT' },
  { tried: true },
  { segment: { bridge: 'site' } },
  { segment: { nic: 'site0', vlan: 7 } },
];

/** Puts the machine on its subnet on a new host. */
async function attach(hostname: string, network: MachineNetwork) {
  const root = mkdtempSync(join(tmpdir(), 'cf-'));
  const networks = hostNetworks({
    ...{ root, netns: undefined, tunnelAddress: '192.0.2.1', clock: systemClock },
    segments: { bridges: ['site'], nics: ['site0'] },
  });
  calls.length = 0;
  try {
    await networks.attach({ uid, hostname, networks: [network] });
    return {
      calls: calls.map(([program, args, input]): Call => [program, args.map((each) => each.replace(root, '')), input]),
    };
  } catch (error) {
    return { error: error as Error, calls: [...calls], files: readdirSync(root, { recursive: true }) };
  } finally {
    rmSync(root, { recursive: true });
  }
}

/** Everything of the calls but what the words are. */
const shapeOf = (all: readonly Call[]) =>
  all.map(([program, args, input]) => [
    program,
    args.map((each) => (/^-/.test(each) ? each.replace(/=.*/s, '=') : '')),
    input.split('\n').map((line) => line.split(' ').length),
  ]);

/** The words of the calls, apart at all that is a separator to any of the programs. */
const wordsOf = (all: readonly Call[]) =>
  new Set(
    all
      .flat(2)
      .join('\n')
      .match(/[^\s"{},;=/!>]+/g),
  );

/** A number, or a name of an interface that was made of one, an address, and what marks the one or the other. */
const harmlessWord =
  /^(\d+|cf[a-z][0-9a-f]{1,10}|-?r?[0-9a-f]{1,6}|cf-r[0-9a-f]+|tag:m[0-9a-f]{32}|(\d+\.){3}\d+|([0-9a-f]{2}:){5}[0-9a-f]{2}|:)$/;

const hostname = fc.oneof(hostileText, { weight: 3, arbitrary: fc.constant('web') });
const change: fc.Arbitrary<object> = fc.oneof(
  fc.oneof(hostileText, hostileNumber, fc.integer({ min: 1, max: 2 ** 24 - 1 })).map((vni) => ({ vni })),
  fc.oneof(hostileText, fc.ipV4()).map((ip) => ({ ip })),
  fc.oneof(hostileText, fc.ipV4()).map((gateway) => ({ gateway })),
  fc.oneof(hostileText, hostileNumber, fc.integer({ min: 1, max: 30 })).map((prefix) => ({ prefix })),
  fc.oneof(hostileText, hostileNumber, fc.integer({ min: 576, max: 1500 })).map((mtu) => ({ mtu })),
  hostileText.map((mac) => ({ mac })),
  hostileText.map((egress) => ({ egress })),
  hostileText.map((bridge) => ({ segment: { bridge } })),
  hostileText.map((nic) => ({ segment: { nic, vlan: 7 } })),
  fc.oneof(hostileText, hostileNumber).map((vlan) => ({ segment: { nic: 'site0', vlan } })),
  fc.array(hostileText, { maxLength: 2 }).map((dns) => ({ dns })),
  hostileText.map((domain) => ({ domain })),
);

test('whatever a launch says of a network, programs get the same arguments and lines, and words of its own kind', {
  timeout: 120_000,
}, async () => {
  const usual = await Promise.resolve(kinds).then(async (all) => {
    const shapes = [];
    for (const kind of all) shapes.push(await attach('web', { ...harmless, ...kind }));
    return shapes;
  });
  for (const { error, calls: made } of usual) expect([error, made.length > 5]).toEqual([undefined, true]);
  let accepted = 0;
  await fc.assert(
    fc.asyncProperty(fc.nat(kinds.length - 1), change, hostname, async (kind, changes, name) => {
      const network = { ...harmless, ...kinds[kind], ...changes } as MachineNetwork;
      const { error, calls: made, files = [] } = await attach(name, network);
      if (error) {
        // Refused at the door: nothing is written, and nothing run. What this host lets nobody onto is refused later.
        if (error instanceof TypeError) expect([made, files]).toEqual([[], []]);
        else expect(error.message).toMatch(/onto which this host lets no guests/);
        return;
      }
      accepted += 1;
      const like = usual[kinds.findIndex((each) => JSON.stringify(each) === JSON.stringify(kindOf(network)))]!.calls;
      expect(shapeOf(made)).toEqual(shapeOf(like));
      const strange = [...wordsOf(made).difference(wordsOf(like))].filter((word) => !harmlessWord.test(word));
      expect(strange).toEqual([]);
    }),
    { numRuns: 1_000 },
  );
  expect(accepted).toBeGreaterThan(100);
});

function kindOf({ egress, tried, segment, external }: MachineNetwork): Partial<MachineNetwork> {
  if (external) return outside;
  if (segment) return { segment: 'bridge' in segment ? { bridge: 'site' } : { nic: 'site0', vlan: 7 } };
  return egress ? { egress } : tried ? { tried } : {};
}
