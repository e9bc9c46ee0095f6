/** OpenStack's config drive, version 2: cloud-init reads it, cloudbase-init on Windows, and Ignition in images made for OpenStack. */
import type { Seed, SeedContent } from './seed.ts';
import { asItIs, json, requireHostname, vendorConfig } from './text.ts';

export function configDrive(content: SeedContent): Seed {
  const { uid, sshKeys, userData, adminPassword, seedFormat } = content;
  const hostname = requireHostname(content.hostname);
  const isWindows = seedFormat === 'CloudbaseInit';
  const metaData = {
    uuid: uid,
    name: hostname,
    hostname,
    public_keys: Object.fromEntries(sshKeys.map((key, index) => [`key${index}`, key])),
    // cloudbase-init's word for it; cloud-init has it from the vendor data.
    ...(isWindows && adminPassword !== undefined ? { admin_pass: adminPassword } : {}),
  };
  const vendorData = isWindows ? undefined : vendorConfig(content);
  const files = {
    'meta_data.json': json(metaData),
    ...(userData === undefined ? {} : { user_data: asItIs('user data', userData) }),
    ...networkFile(content, isWindows),
    ...(vendorData === undefined ? {} : { 'vendor_data.json': json({ 'cloud-init': vendorData }) }),
  };
  const inPlace = Object.entries(files).map(([name, text]) => [`openstack/latest/${name}`, text]);
  return { label: 'config-2', files: Object.fromEntries(inPlace) };
}

/** Addresses come by DHCP with fixed leases. Windows asks for them without being told. */
function networkFile({ networkData, networks }: SeedContent, isWindows: boolean): Record<string, string> {
  if (networkData !== undefined) return { 'network_data.json': asItIs('network data', networkData) };
  if (isWindows) return {};
  const links = networks.map(({ mac, mtu }, index) => {
    return { id: `nic${index}`, type: 'phy', ethernet_mac_address: mac, mtu };
  });
  const dhcp = networks.map((_, index) => ({ id: `network${index}`, type: 'ipv4_dhcp', link: `nic${index}` }));
  return { 'network_data.json': json({ links, networks: dhcp, services: [] }) };
}
