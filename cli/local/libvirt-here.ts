/** Whether real machines, and a replicated store for their images, can run on this computer; if not, the sentence why and what would help. */
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

const neededForStore: Readonly<Record<string, string>> = {
  glusterd: 'glusterfs-server',
  gluster: 'glusterfs-cli',
  glusterfs: 'glusterfs-client',
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

/** undefined if real machines can run here, with everything of theirs below `dir`. */
export function whyNoLibvirt(dir: string): string | undefined {
  if (process.platform !== 'linux') return `libvirt and QEMU run on Linux only, this is ${process.platform}.`;
  if (process.getuid?.() !== 0) return 'bridges and libvirt need root, and this is not root.';
  return whatIsMissing(needed) ?? whyTooLong(dir);
}

/** undefined if GlusterFS can run here. */
export function whyNoGluster(): string | undefined {
  return whatIsMissing(neededForStore);
}

function whatIsMissing(programs: Readonly<Record<string, string>>): string | undefined {
  const missing = Object.keys(programs).filter((program) => !isInstalled(program));
  if (missing.length === 0) return undefined;
  return `${missing.join(', ')} not found; on Debian: apt-get install ${[...new Set(missing.map((name) => programs[name]))].join(' ')}.`;
}

/** sun_path of Linux without its final zero. */
const socketPathBytesMax = 107;
/** The longest path that a host listens at: a machine's console. */
const longestSocket = 'hosts/metal-0/executor/tty/0123456789abcdef';

export function whyTooLong(dir: string): string | undefined {
  const left = socketPathBytesMax - Buffer.byteLength(join(dir, longestSocket));
  if (left >= 0) return undefined;
  return `the path ${dir} is ${-left} bytes too long for the sockets of real machines; give a shorter --dir.`;
}
