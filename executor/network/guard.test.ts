/** What guests' frames come to, on the wire: raw frames out of guests, counted where they must not arrive. */
import { describe, expect, test } from 'vitest';
import { whyNot } from '#test/requires.ts';
import { counting, networkOf, openWorld, type PretendHost, run } from '../testing/subnet-hosts.ts';
import { tapPrefix } from './names.ts';

const [own, foreign] = [networkOf(11, 300), { ...networkOf(13, 300), mac: '02:00:0a:00:00:07' }];
const everybody = 'ff:ff:ff:ff:ff:ff';

const bytes = (mac: string) => mac.replaceAll(':', '');
const number = (value: number, digits = 4) => value.toString(16).padStart(digits, '0');
const address = (ip: string) =>
  ip
    .split('.')
    .map((part) => number(Number(part), 2))
    .join('');

/** With its checksum: where the kernel has br_netfilter, the bridge drops a wrong one. */
function ipv4(from: string, protocol: number, payload: string): string {
  const start = `4500${number(20 + payload.length / 2)}0000000040${number(protocol, 2)}`;
  const end = `${address(from)}ffffffff`;
  const sum = (start + end).match(/.{4}/g)!.reduce((total, word) => total + Number.parseInt(word, 16), 0);
  return `0800|${start}${number(0xffff - ((sum & 0xffff) + (sum >> 16)))}${end}${payload}`;
}
const udp = (from: string, source: number, target: number) =>
  ipv4(from, 17, `${number(source)}${number(target)}000c000000000000`);
const icmp = (from: string) => ipv4(from, 1, '0800f7ff00000000');
const arp = (mac: string, ip: string, hardware = 1) =>
  `0806|${number(hardware)}080006040001${bytes(mac)}${address(ip)}000000000000${address('10.66.0.12')}`;
const ipv6 = (next: number, payload: string) =>
  `86dd|60000000${number(payload.length / 2)}${number(next, 2)}fffe80000000000000505400fffe000011ff020000000000000000000000000001${payload}`;
/** `type|payload` behind tags. */
const tagged = (packet: string, ...tags: string[]) =>
  `${tags[0]!.slice(0, 4)}|${tags.join('').slice(4)}${packet.replace('|', '')}`;

/** The whole frame in hex, from `type|payload`. */
const frame = (packet: string, { src = own.mac, dst = everybody } = {}) =>
  (bytes(dst) + bytes(src) + packet.replace('|', '')).padEnd(120, '0');

const hidden = icmp(own.ip);
/** None of them is one that the guest may send. */
const refused: Readonly<Record<string, string>> = {
  'another MAC': frame(hidden, { src: foreign.mac }),
  'another address': frame(icmp(foreign.ip)),
  'no address, and not DHCP': frame(icmp('0.0.0.0')),
  'no address, to another port': frame(udp('0.0.0.0', 68, 53)),
  'an answer of DHCP': frame(udp(own.ip, 67, 68)),
  'an answer of DHCP, from another port': frame(udp(own.ip, 1067, 68)),
  'ARP with another MAC': frame(arp(foreign.mac, own.ip)),
  'ARP with another address': frame(arp(own.mac, foreign.ip)),
  'ARP for no Ethernet': frame(arp(own.mac, foreign.ip, 6)),
  '802.1Q': frame(tagged(hidden, '81000005')),
  '802.1Q, priority only': frame(tagged(hidden, '8100e000')),
  '802.1Q around another MAC': frame(tagged(hidden, '81000005'), { src: foreign.mac }),
  '802.1Q around another address': frame(tagged(icmp(foreign.ip), '81000005')),
  '802.1Q around ARP for another': frame(tagged(arp(foreign.mac, foreign.ip), '81000005')),
  '802.1ad': frame(tagged(hidden, '88a80005')),
  QinQ: frame(tagged(hidden, '88a80005', '81000006')),
  '802.1Q twice': frame(tagged(hidden, '81000005', '81000006')),
  'router advertisement': frame(ipv6(58, '86000000400007080000000000000000')),
  'neighbour advertisement': frame(ipv6(58, '8800000060000000fe800000000000000000000000000001')),
  'an answer of DHCPv6': frame(ipv6(17, '02230222000c000000000000')),
  'IPv6 behind 802.1Q': frame(tagged(ipv6(58, '86000000400007080000000000000000'), '81000005')),
  'STP to everybody': frame('0026|424203000000000080000000'),
  'LLDP to everybody': frame('88cc|0207040102030405060403020b0c06020078'),
  'EAPOL to everybody': frame('888e|01010000'),
  PPPoE: frame('8863|11090000000c0101000001030004aabbccdd'),
  MPLS: frame('8847|00010140'),
};
/** They end at the bridge, or are for switches: nobody but the host could hear them. */
const forSwitches: Readonly<Record<string, string>> = {
  STP: frame('0026|424203000000000080000000', { dst: '01:80:c2:00:00:00' }),
  LLDP: frame('88cc|0207040102030405060403020b0c06020078', { dst: '01:80:c2:00:00:0e' }),
  EAPOL: frame('888e|01010000', { dst: '01:80:c2:00:00:03' }),
};
const allowed = {
  IPv4: frame(icmp(own.ip)),
  ARP: frame(arp(own.mac, own.ip)),
  'the question whether an address is taken': frame(arp(own.mac, '0.0.0.0')),
};

/** Perl is on every Debian; 17 is AF_PACKET, 3 its raw sockets. */
const sender = `
my $index = do { local @ARGV = ('/sys/class/net/eth0/ifindex'); <> };
socket(my $wire, 17, 3, 0) or die "socket: $!";
send($wire, pack('H*', $_), 0, pack('S n i S C C a8', 17, 0, $index, 0, 0, 0, '')) or die "send: $!" for @ARGV;
`;

const send = async (netns: string, frames: readonly string[]) =>
  await run('ip', ['netns', 'exec', netns, 'perl', '-e', sender, ...frames]);

async function counted(netns: string, family: string): Promise<readonly number[]> {
  const { stdout } = await run('ip', ['netns', 'exec', netns, 'nft', 'list', 'table', family, 't']);
  return [...stdout.matchAll(/counter packets (\d+)/g)].map(([, packets]) => Number(packets));
}

describe.skipIf(whyNot(['ip', 'bridge', 'nft', 'dnsmasq', 'busybox', 'perl'], { root: true }) !== undefined)(
  'what a guest may send',
  { timeout: 120_000 },
  () => {
    test('is its own IPv4 and ARP; nothing else reaches guests here or on another host, or the host', async () => {
      await using world = await openWorld(2);
      const [one, two] = world.hosts as [PretendHost, PretendHost];
      const guest = await one.join(11, 300);
      const others = [await one.join(12, 300), await two.join(14, 300)];
      await world.connect(300, 1, 2);
      const intruder = await one.intrude(300, '02:00:0a:00:00:08', '10.66.0.15');
      for (const { netns } of others) {
        await counting(netns, 'netdev', 'ingress device eth0', ['ether saddr != 02:00:0a:00:00:08 counter']);
      }
      await run('ip', ['-n', intruder, 'addr', 'flush', 'dev', 'eth0']);
      await counting(one.netns, 'bridge', 'input', [`iifname "${tapPrefix}*" counter`]);
      const arrived = async () =>
        await Promise.all(others.map(async ({ netns }) => (await counted(netns, 'netdev'))[0]!));
      const silent = await arrived();
      const heard = await counted(one.netns, 'bridge');
      await send(guest.netns, Object.values({ ...refused, ...forSwitches }));
      let sent = 0;
      for (const [name, good] of Object.entries(allowed)) {
        await send(guest.netns, [good]);
        sent += 1;
        await expect.poll(arrived, { message: name }).toEqual(silent.map((count) => count + sent));
      }
      expect(await counted(one.netns, 'bridge')).toEqual(heard);
      // From a port that nobody watches over each of them reaches the guest of this host: they are frames that a bridge carries.
      const before = (await arrived())[0]!;
      await send(intruder, Object.values(refused));
      await expect.poll(async () => (await arrived())[0]! - before).toBe(Object.keys(refused).length);
    });

    test('is IPv4 and ARP from any address where the site gives them, and still with its own MAC alone', async () => {
      await using world = await openWorld(1, 1600, { segments: { bridges: ['lan'], nics: [] } });
      const one = world.hosts[0]!;
      await run('ip', ['-n', one.netns, 'link', 'add', 'lan', 'type', 'bridge']);
      const outside = { segment: { bridge: 'lan' }, ip: '', external: true } as const;
      const [guest, other] = [await one.join(11, 300, outside), await one.join(12, 300, outside)];
      await counting(other.netns, 'netdev', 'ingress device eth0', ['counter']);
      const free = [
        'another address',
        'no address, and not DHCP',
        'no address, to another port',
        'ARP with another address',
      ];
      const passing = { ...allowed, ...Object.fromEntries(free.map((name) => [name, refused[name]!])) };
      const rest = Object.entries({ ...refused, ...forSwitches }).filter(([name]) => !free.includes(name));
      const silent = (await counted(other.netns, 'netdev'))[0]!;
      await send(
        guest.netns,
        rest.map(([, bad]) => bad),
      );
      let sent = 0;
      for (const [name, good] of Object.entries(passing)) {
        await send(guest.netns, [good]);
        sent += 1;
        await expect.poll(async () => (await counted(other.netns, 'netdev'))[0], { message: name }).toBe(silent + sent);
      }
    });
  },
);
