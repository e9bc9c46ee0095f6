/** Files of a pretended host: directories that stand in for libvirt's own, its configuration, its boot id. */
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { writeFileAtomic } from '#lib/std/files.ts';
import type { Random } from '#lib/std/random.ts';
import { firstUntraversable } from '#lib/std/traversable.ts';

export interface HostPaths {
  readonly socket: string;
  readonly bootIdFile: string;
  readonly pidFile: string;
  readonly log: string;
}

/** sun_path of Linux without its final zero. */
const socketPathBytesMax = 107;

export function hostPaths(dir: string): HostPaths {
  const socket = join(dir, 'run', 'libvirt-sock');
  if (Buffer.byteLength(socket) > socketPathBytesMax) {
    throw new RangeError(
      `Cannot start a pretended host in ${dir}: its socket ${socket} would have more than ${socketPathBytesMax} bytes. Use a shorter directory`,
    );
  }
  return { socket, bootIdFile: join(dir, 'boot-id'), pidFile: join(dir, 'pid'), log: join(dir, 'host.log') };
}

/** Makes everything that does not depend on a boot. Repeatable. */
export function writeConfiguration(dir: string, random: Random): void {
  for (const folder of ['run', 'lib', 'cache', 'log', 'etc'])
    mkdirSync(join(dir, folder), { recursive: true, mode: 0o755 });
  writeFileAtomic(join(dir, 'etc', 'libvirtd.conf'), `host_uuid = "${hostUuid(dir, random)}"\nauth_unix_rw = "none"\n`);
  writeFileAtomic(join(dir, 'etc', 'qemu.conf'), qemuConfiguration(dir));
}

function hostUuid(dir: string, random: Random): string {
  const file = join(dir, 'host-uuid');
  try {
    return readFileSync(file, 'utf8').trim();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    writeFileAtomic(file, random.uuid());
    return hostUuid(dir, random);
  }
}

/**
 * AppArmor and SELinux profiles belong to the computer, not to a pretended host. Ownership is not remembered in extended attributes: after a
 * power cut nobody would take them back. libvirt's own namespace per guest cannot move the mount that hides /dev/kvm. Below a directory that only root may enter, QEMU has to be root to reach its disks.
 */
function qemuConfiguration(dir: string): string {
  const lines = ['security_driver = "none"', 'remember_owner = 0', 'namespaces = []'];
  if (firstUntraversable(dir) !== undefined) lines.push('user = "root"', 'group = "root"');
  return `${lines.join('\n')}\n`;
}
