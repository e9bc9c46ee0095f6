/**
 * The baseline of start and delete: a bare script. What it makes is read from a machine that the executor has made, so that both make the
 * same: definition, rules, options and files of dnsmasq, seed.
 */
import { randomUUID } from 'node:crypto';
import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { domainName } from '#executor/libvirt/domain-xml.ts';
import { hostAddress } from '#executor/network/bridge.ts';
import { bridgeName, tapName } from '#executor/network/names.ts';
import { seedOf } from '#executor/seed/seed.ts';
import type { MachineLaunch } from '#lib/api/launch.ts';
import { systemClock } from '#lib/std/clock.ts';
import { must, run } from '#test/e2e/local-cluster.ts';
import { cpuSeconds, cpuSecondsWithCommands } from '../programs.ts';
import type { BenchHost, Timed } from './host.ts';

export interface BareScript {
  start(): Promise<Timed>;
  remove(): Promise<Timed>;
}

/** `model` runs, and is the only machine of the host. */
export async function bareScript({ host, image }: BenchHost, model: MachineLaunch): Promise<BareScript> {
  const directory = join(dirname(host.root), 'script');
  const uri = `qemu:///system?socket=${host.socket}`;
  const [network] = model.networks;
  const { vni, mtu } = network!;
  const uid = randomUUID();
  const made = join(host.root, 'network', String(vni));
  const asOurs = (text: string) =>
    text
      .replaceAll(tapName(model.uid, vni), tapName(uid, vni))
      .replaceAll(join(host.root, 'vms', model.uid), join(directory, 'vm'))
      .replaceAll(join(host.root, 'tty'), join(directory, 'vm'))
      .replaceAll(made, join(directory, 'network'))
      .replaceAll(model.uid, uid);
  const place = (name: string, text: string) => writeFileSync(join(directory, name), asOurs(text));
  for (const folder of ['seed', 'dhcp']) mkdirSync(join(directory, folder), { recursive: true });
  const xml = await must(run('virsh', ['-c', uri, 'dumpxml', '--inactive', domainName(model.uid)]));
  place('domain.xml', xml);
  place('rules', await host.exec('nft', 'list', 'table', 'bridge', 'computefactory'));
  place('dnsmasq.arguments', await dnsmasqArguments(host));
  for (const name of ['hosts', 'options', 'leases']) cpSync(join(made, name), join(directory, 'dhcp', name));
  for (const [name, text] of Object.entries(seedOf({ ...model, uid }).files)) place(`seed/${name}`, text);
  const environment = {
    ...{ NETNS: host.netns, URI: uri, BRIDGE: bridgeName(vni), MTU: String(mtu), ADDRESS: `${hostAddress}/32` },
    ...{ IMAGE: image, FORMAT: model.image.format, BYTES: String(model.rootDiskBytes), DOMAIN: domainName(uid) },
  };
  // Of the programs that this one has waited for.
  const cpu = () => 1000 * (cpuSecondsWithCommands(process.pid) - cpuSeconds(process.pid));
  const timed = async (verb: 'start' | 'remove'): Promise<Timed> => {
    const script = join(import.meta.dirname, 'bare-script.sh');
    const [started, cpuBefore] = [systemClock.monotonic(), cpu()];
    await must(run('env', ['-C', directory, script, verb], environment));
    return { ms: systemClock.monotonic() - started, cpuMs: cpu() - cpuBefore, traces: [] };
  };
  return { start: () => timed('start'), remove: () => timed('remove') };
}

/** Without its own name, each ended by a zero byte. */
async function dnsmasqArguments({ processes }: BenchHost['host']): Promise<string> {
  const server = (await processes()).find(({ name }) => name === 'dnsmasq');
  if (!server) throw new Error('The model machine has no DHCP server');
  return readFileSync(`/proc/${server.pid}/cmdline`, 'utf8').split('\0').slice(1).join('\0');
}
