/** The programs that a host of real machines needs, and which Debian package has each. */
import { accessSync, constants } from 'node:fs';
import { join } from 'node:path';

export const packageOf: Readonly<Record<string, string>> = {
  libvirtd: 'libvirt-daemon-system',
  'qemu-system-x86_64': 'qemu-system-x86',
  'qemu-img': 'qemu-utils',
  dnsmasq: 'dnsmasq-base',
  ip: 'iproute2',
  nft: 'nftables',
  prlimit: 'util-linux',
  nsenter: 'util-linux',
  genisoimage: 'genisoimage',
  busybox: 'busybox-static',
  xz: 'xz-utils',
  zstd: 'zstd',
};

/** Those that are in none of the folders. */
export function missingPrograms(folders: readonly string[]): readonly string[] {
  return Object.keys(packageOf).filter((program) => !folders.some((folder) => isExecutable(join(folder, program))));
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false; // not here
  }
}
