/** Whether real machines can run on this computer, and if not, the sentence that says why and what would help. */
import { accessSync, constants } from 'node:fs';
import { join } from 'node:path';

/** Programs that a host of real machines needs, and Debian's package for each. */
const needed: Readonly<Record<string, string>> = {
  libvirtd: 'libvirt-daemon-system',
  virsh: 'libvirt-clients',
  'qemu-system-x86_64': 'qemu-system-x86',
  'qemu-img': 'qemu-utils',
  dnsmasq: 'dnsmasq-base',
  ip: 'iproute2',
  nft: 'nftables',
  unshare: 'util-linux',
  genisoimage: 'genisoimage',
};

const folders = [...(process.env.PATH ?? '').split(':'), '/usr/sbin', '/sbin'];

export function isInstalled(program: string): boolean {
  return folders.some((folder) => {
    try {
      accessSync(join(folder, program), constants.X_OK);
      return true;
    } catch {
      return false; // not in this folder
    }
  });
}

/** undefined if real machines can run here. */
export function whyNoLibvirt(): string | undefined {
  if (process.platform !== 'linux') return `libvirt and QEMU run on Linux only, this is ${process.platform}.`;
  if (process.getuid?.() !== 0) return 'bridges and libvirt need root, and this is not root.';
  const missing = Object.keys(needed).filter((program) => !isInstalled(program));
  if (missing.length === 0) return undefined;
  return `${missing.join(', ')} not found; on Debian: apt-get install ${[...new Set(missing.map((name) => needed[name]))].join(' ')}.`;
}
