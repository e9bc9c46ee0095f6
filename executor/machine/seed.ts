/**
 * Files of the NoCloud seed that cloud-init reads at the guest's first boot. Documents are written as JSON, which is YAML: no value of a
 * user can break out of its place. Only the two lines of meta-data are plain where they can be, because small guests read them with sed.
 */
import type { MachineLaunch, MachineNetwork } from '#lib/api/launch.ts';

/** meta-data, user-data, network-config. The instance id is the machine's uid: a relaunch is the same instance. */
export function seedFiles(launch: MachineLaunch): Record<string, string> {
  return {
    'meta-data': metaData(launch),
    'user-data': launch.userData === undefined ? cloudConfig(launch) : asItIs(launch.userData),
    'network-config': `${json({ version: 2, ethernets: Object.fromEntries(launch.networks.map(ethernet)) })}\n`,
  };
}

function metaData({ uid, hostname, sshKeys }: MachineLaunch): string {
  if (!/^[A-Za-z0-9.-]+$/.test(hostname))
    throw new Error(`Cannot use "${hostname}" as a hostname: letters, digits, - and . only`);
  const keys = sshKeys.length > 0 ? `public-keys: ${json(sshKeys)}\n` : '';
  return `instance-id: ${uid}\nlocal-hostname: ${plainWord(hostname) ? hostname : json(hostname)}\n${keys}`;
}

/** Whether every YAML reads it as this text: not as a number (014, 1e3) or one of the words for true, false and nothing. */
function plainWord(text: string): boolean {
  return /^[A-Za-z]/.test(text) && !/^(y|n|yes|no|on|off|true|false|null)$/i.test(text);
}

/** User data is bytes to us, whatever they mean to the guest; halves of surrogate pairs would come out as something else. */
function asItIs(userData: string): string {
  if (userData.isWellFormed()) return userData;
  throw new TypeError('Cannot write the user data into a seed: it has characters that UTF-8 cannot hold');
}

/** JSON that strict readers of YAML take, too: they refuse DEL, C1 controls and non-characters unless they are escaped. */
function json(value: unknown): string {
  return JSON.stringify(value).replace(
    /[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

function cloudConfig({ hostname, sshKeys }: MachineLaunch): string {
  return `#cloud-config\n${json({ hostname, ssh_authorized_keys: sshKeys })}\n`;
}

/** Addresses come by DHCP with fixed leases; the interface is found by its MAC, whatever the guest calls it. */
function ethernet(network: MachineNetwork, index: number): [string, object] {
  return [`nic${index}`, { match: { macaddress: network.mac }, dhcp4: true, mtu: network.mtu }];
}
