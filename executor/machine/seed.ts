/**
 * Files of the NoCloud seed that cloud-init reads at the guest's first boot. Documents are written as JSON, which is YAML: no value of a
 * user can break out of its place. Only the two lines of meta-data are plain, because small guests read them with sed.
 */
import type { MachineLaunch, MachineNetwork } from '#lib/api/launch.ts';

/** meta-data, user-data, network-config. The instance id is the machine's uid: a relaunch is the same instance. */
export function seedFiles(launch: MachineLaunch): Record<string, string> {
  return {
    'meta-data': metaData(launch),
    'user-data': launch.userData ?? cloudConfig(launch),
    'network-config': `${JSON.stringify({ version: 2, ethernets: Object.fromEntries(launch.networks.map(ethernet)) })}\n`,
  };
}

function metaData({ uid, hostname, sshKeys }: MachineLaunch): string {
  if (!/^[A-Za-z0-9.-]+$/.test(hostname))
    throw new Error(`Cannot use "${hostname}" as a hostname: letters, digits, - and . only`);
  const keys = sshKeys.length > 0 ? `public-keys: ${JSON.stringify(sshKeys)}\n` : '';
  return `instance-id: ${uid}\nlocal-hostname: ${hostname}\n${keys}`;
}

function cloudConfig({ hostname, sshKeys }: MachineLaunch): string {
  return `#cloud-config\n${JSON.stringify({ hostname, ssh_authorized_keys: sshKeys })}\n`;
}

/** Addresses come by DHCP with fixed leases; the interface is found by its MAC, whatever the guest calls it. */
function ethernet(network: MachineNetwork, index: number): [string, object] {
  return [`nic${index}`, { match: { macaddress: network.mac }, dhcp4: true, mtu: network.mtu }];
}
