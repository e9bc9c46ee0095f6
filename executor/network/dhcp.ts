/**
 * DHCP of a subnet on this host: one dnsmasq that gives each machine of this host its own address and answers nobody else. It runs on when
 * the executor ends, and is found again by its pid file and start time. Guests, options and lease times are in files beside it.
 */
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Clock } from '#lib/std/clock.ts';
import { writeFileAtomic } from '#lib/std/files.ts';
import { identifyProcess, isRunning, type ProcessIdentity, signalProcess } from '#lib/std/process-identity.ts';
import { firstUntraversable } from '#lib/std/traversable.ts';
import { runCommand } from '../libvirt/command.ts';
import { bridgeName } from './names.ts';
import type { Attachment } from './subnet-files.ts';

const stopMs = 10_000;

export interface DhcpServer {
  readonly vni: number;
  /** The subnet's directory. */
  readonly directory: string;
  readonly netns: string | undefined;
  readonly clock: Clock;
}

/**
 * Makes it run with these guests; restarts it if others were known to it. Not by SIGHUP: dnsmasq 2.90 without DNS ends on it once it gave a
 * lease, and it would keep leases of machines that are gone, whose addresses it then refuses to their next owners.
 */
export async function serveDhcp(server: DhcpServer, attachments: readonly Attachment[]): Promise<void> {
  const [first] = attachments;
  if (!first) return;
  const files = guestFiles(attachments);
  const same = Object.entries(files).every(([name, content]) => contentOf(server, name) === content);
  if (same && findServer(server)) return;
  // Stopped before the files change: what runs is then always what they say, wherever this is killed.
  await stopDhcp(server);
  for (const [name, content] of Object.entries(files)) writeFileAtomic(join(server.directory, name), content);
  writeFileAtomic(join(server.directory, 'leases'), leasesOf(contentOf(server, 'leases') ?? '', attachments));
  await runCommand('dnsmasq', argumentsOf(server, first), { netns: server.netns });
}

/** Ends it and waits until it is gone: the bridge it listens on goes next. Nothing if it does not run. */
export async function stopDhcp(server: DhcpServer): Promise<void> {
  const { clock } = server;
  const running = findServer(server);
  if (!running) return;
  const deadline = clock.monotonic() + stopMs;
  signalProcess(running.pid, 'SIGTERM');
  while (isRunning(running)) {
    if (clock.monotonic() > deadline) signalProcess(running.pid, 'SIGKILL');
    if (clock.monotonic() > deadline + stopMs)
      throw new Error(`dnsmasq ${running.pid} of ${bridgeName(server.vni)} does not end`);
    await clock.sleep(10);
  }
  rmSync(join(server.directory, 'dnsmasq.pid'), { force: true });
}

/** dnsmasq writes its pid itself, before it answers. The pid may be another program's by now: only its own configuration proves it. */
function findServer(server: DhcpServer): ProcessIdentity | undefined {
  try {
    const pid = Number(readFileSync(join(server.directory, 'dnsmasq.pid'), 'utf8'));
    const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
    return command.includes(pidFileArgument(server)) ? identifyProcess(pid) : undefined;
  } catch {
    return undefined; // never started, or gone
  }
}

function contentOf({ directory }: DhcpServer, name: string): string | undefined {
  try {
    return readFileSync(join(directory, name), 'utf8');
  } catch {
    return undefined; // not written yet: the same as another content
  }
}

/** dnsmasq's list of leases (expiry, MAC, address, …) without those of machines that are not here any more. */
function leasesOf(content: string, attachments: readonly Attachment[]): string {
  const held = new Set(attachments.map(({ network: { mac, ip } }) => `${mac} ${ip}`));
  return lines(content.split('\n').filter((line) => held.has(line.split(' ').slice(1, 3).join(' '))));
}

function pidFileArgument({ directory }: DhcpServer): string {
  return `--pid-file=${join(directory, 'dnsmasq.pid')}`;
}

/** Returns only after it listens: dnsmasq goes into the background when it is ready. */
function argumentsOf(server: DhcpServer, { network }: Attachment): readonly string[] {
  const file = (name: string) => join(server.directory, name);
  const bridge = bridgeName(server.vni);
  return [
    ...[
      '--conf-file=/dev/null',
      pidFileArgument(server),
      '--port=0',
      '--no-ping',
      '--dhcp-authoritative',
      '--quiet-dhcp',
    ],
    ...[`--interface=${bridge}`, '--bind-dynamic', '--except-interface=lo'],
    // The host has no address in the subnet: the range is served on the bridge all the same.
    ...[
      `--dhcp-range=${networkOf(network)},static,${maskOf(network.prefix)}`,
      `--shared-network=${bridge},${networkOf(network)}`,
    ],
    ...[
      `--dhcp-hostsfile=${file('hosts')}`,
      `--dhcp-optsfile=${file('options')}`,
      `--dhcp-leasefile=${file('leases')}`,
    ],
    // Guests that are not in the file get nothing, not even a refusal: another host may have them.
    '--dhcp-ignore=tag:!known',
    // It reads its files as a user of its own, who may not get there: an executor that lives below /root.
    ...(firstUntraversable(server.directory) === undefined ? [] : ['--user=root']),
  ];
}

/** What dnsmasq reads of its guests, by the file's name. Every value has passed requireSafe. */
export function guestFiles(attachments: readonly Attachment[]): { readonly hosts: string; readonly options: string } {
  return { hosts: lines(attachments.map(hostEntry)), options: lines(attachments.flatMap(optionEntries)) };
}

/**
 * dnsmasq knows the parts by how they look. A machine may be named `ignore`, which would keep it from getting an address, or `12h`, which
 * would be a lease time: such a name is left to the seed.
 */
function hostEntry({ uid, hostname, network }: Attachment): string {
  const name = /^(ignore|infinite|\d+[smhdw]?)$/i.test(hostname) ? [] : [hostname];
  return [network.mac, `set:${tagOf(uid)}`, network.ip, ...name, String(network.leaseSeconds)].join(',');
}

function optionEntries({ uid, network }: Attachment): readonly string[] {
  const option = (name: string, values: readonly string[]) =>
    values.length === 0 ? [] : [`tag:${tagOf(uid)},option:${name},${values.join(',')}`];
  return [
    // Without a value: dnsmasq would else name itself.
    ...(network.gateway === '' ? [`tag:${tagOf(uid)},option:router`] : option('router', [network.gateway])),
    ...(network.dns.length === 0 ? [`tag:${tagOf(uid)},option:dns-server`] : option('dns-server', network.dns)),
    ...option('domain-name', network.domain === '' ? [] : [network.domain]),
    ...option('mtu', [String(network.mtu)]),
  ];
}

function tagOf(uid: string): string {
  return `m${uid.replaceAll('-', '')}`;
}

function maskOf(prefix: number): string {
  return dotted(prefix === 0 ? 0 : (0xffffffff << (32 - prefix)) >>> 0);
}

function networkOf({ ip, prefix }: { readonly ip: string; readonly prefix: number }): string {
  const address = ip.split('.').reduce((sum, part) => sum * 256 + Number(part), 0);
  return dotted(Math.floor(address / 2 ** (32 - prefix)) * 2 ** (32 - prefix));
}

function dotted(address: number): string {
  return [24, 16, 8, 0].map((shift) => (address >>> shift) & 255).join('.');
}

function lines(entries: readonly string[]): string {
  return entries.map((entry) => `${entry}\n`).join('');
}
