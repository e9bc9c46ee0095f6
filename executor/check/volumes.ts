/** What volumes need of a host, beside a Gluster volume. */
import { access, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { messageOf } from '#lib/std/errors.ts';
import { runCommand } from '../libvirt/command.ts';
import { type Check, failed, ok, warning } from './check.ts';

/** Where libvirt looks for programs that serve directories to guests. */
const vhostUser = '/usr/share/qemu/vhost-user';

export const volumes: Check = {
  name: 'volumes',
  async look({ gluster, netns }) {
    if (!gluster) return [ok('none: the configuration has no gluster')];
    await runCommand('glusterfs', ['--version']);
    const server = await directoryServer();
    const [program, ...first] = gluster.command ?? ['gluster'];
    const asked = await Promise.all(
      gluster.volumes.map(async (name) => {
        const info = [...first, '--mode=script', 'volume', 'info', name];
        // The command of a pretended host finds its own way in.
        const options = gluster.command === undefined ? { netns } : {};
        return await runCommand(program!, info, options).then(
          () => ok(`Gluster volume ${name}`),
          (error) =>
            warning(`Quotas on ${name} cannot be set by this host, others have to: ${oneLine(messageOf(error))}`),
        );
      }),
    );
    return [
      server === undefined
        ? failed(
            `No virtiofsd for directories in guests: libvirt finds none in ${vhostUser}. On Debian: apt-get install qemu-system-common, from 13 on virtiofsd`,
          )
        : ok(server),
      ...asked,
    ];
  },
};

function oneLine(text: string): string {
  return text.replaceAll(/\s+/g, ' ').trim();
}

/** undefined if there is none. */
async function directoryServer(): Promise<string | undefined> {
  for (const file of await readdir(vhostUser).catch(() => [])) {
    const { type, binary } = JSON.parse(await readFile(join(vhostUser, file), 'utf8')) as Record<string, unknown>;
    if (type !== 'fs' || typeof binary !== 'string') continue;
    await access(binary);
    return binary;
  }
  return undefined;
}
