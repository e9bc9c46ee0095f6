/**
 * DHCP of a subnet on this host: one dnsmasq that gives each machine of this host its own address and answers nobody else. It runs on when
 * the executor ends, and is found again by its pid file and start time. Guests, options and lease times are in files it reads anew on SIGHUP.
 */
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Clock } from '#lib/std/clock.ts';
import { writeFileAtomic } from '#lib/std/files.ts';
import { identifyProcess, isRunning, type ProcessIdentity, signalProcess } from '#lib/std/process-identity.ts';
import { runCommand } from '../libvirt/command.ts';
import { bridgeName } from './names.ts';
import type { Attachment } from './subnet-files.ts';

const stopMs = 10_000;

export interface DhcpServer {
  readonly vni: number;
  /** The subnet's directory. */
  readonly directory: string;
  readonly netns: string | undefined;
}

/** Writes the guests' entries and makes the server know them; starts it if it does not run. */
export async function serveDhcp(server: DhcpServer, attachments: readonly Attachment[]): Promise<void> {
  writeFileAtomic(join(server.directory, 'hosts'), lines(attachments.map(hostEntry)));
  writeFileAtomic(join(server.directory, 'options'), lines(attachments.flatMap(optionEntries)));
  const running = findServer(server);
  if (running) signalProcess(running.pid, 'SIGHUP');
  else if (attachments[0]) await runCommand('dnsmasq', argumentsOf(server, attachments[0]), { netns: server.netns });
}

/** Ends it and waits until it is gone: the bridge it listens on goes next. Nothing if it does not run. */
export async function stopDhcp(server: DhcpServer, clock: Clock): Promise<void> {
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
  ];
}

function hostEntry({ uid, hostname, network }: Attachment): string {
  return [network.mac, `set:${tagOf(uid)}`, network.ip, hostname, String(network.leaseSeconds)].join(',');
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
