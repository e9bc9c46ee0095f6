/**
 * NoCloud, which cloud-init reads. Documents are written as JSON, which is YAML: no value of a user can break out of its place. Only the
 * two lines of meta-data are plain where they can be, because small guests read them with sed.
 */
import type { MachineNetwork } from '#lib/api/launch.ts';
import type { Seed, SeedContent } from './seed.ts';
import { asItIs, cloudConfig, json, requireHostname, vendorConfig } from './text.ts';

/** The instance id is the machine's uid: a relaunch is the same instance. */
export function noCloud(content: SeedContent): Seed {
  const { hostname, sshKeys, userData, networkData, networks } = content;
  const vendorData = vendorConfig(content);
  const files = {
    'meta-data': metaData(content),
    'user-data':
      userData === undefined ? cloudConfig({ hostname, ssh_authorized_keys: sshKeys }) : asItIs('user data', userData),
    'network-config':
      networkData === undefined
        ? `${json({ version: 2, ethernets: Object.fromEntries(networks.map(ethernet)) })}\n`
        : asItIs('network data', networkData),
    ...(vendorData === undefined ? {} : { 'vendor-data': vendorData }),
  };
  return { label: 'cidata', files };
}

function metaData({ uid, hostname, sshKeys }: SeedContent): string {
  const name = requireHostname(hostname);
  const keys = sshKeys.length > 0 ? `public-keys: ${json(sshKeys)}\n` : '';
  return `instance-id: ${uid}\nlocal-hostname: ${plainWord(name) ? name : json(name)}\n${keys}`;
}

/** Whether every YAML reads it as this text: not as a number (014, 1e3) or one of the words for true, false and nothing. */
function plainWord(text: string): boolean {
  return /^[A-Za-z]/.test(text) && !/^(y|n|yes|no|on|off|true|false|null)$/i.test(text);
}

/** Addresses come by DHCP with fixed leases; the interface is found by its MAC, whatever the guest calls it. */
function ethernet(network: MachineNetwork, index: number): [string, object] {
  return [`nic${index}`, { match: { macaddress: network.mac }, dhcp4: true, mtu: network.mtu }];
}
