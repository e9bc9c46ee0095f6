/**
 * The socket at which QEMU shows a machine's screen. QEMU makes it itself, as its own user, in a directory that belongs to that user and
 * that nobody else but root may enter. A QEMU that was taken over by its guest could put anything else there, such as a link to a socket
 * that only root may use; so what is connected to is looked at first, and is then that very file, whatever happens to its name.
 */
import { once } from 'node:events';
import { constants } from 'node:fs';
import { chmod, chown, mkdir, open } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { dirname } from 'node:path';
import { MachineError } from '../hypervisor.ts';
import { parseXml } from './xml.ts';

/** Linux' flag that names a file without opening it. */
const pathOnly = 0o10000000;
const connectMs = 5_000;
export const noScreen = 'The machine was started before machines had screens: restart it';

export interface QemuUser {
  readonly uid: number;
  readonly gid: number;
}

/** Whom libvirt runs QEMU as, out of its capabilities. Throws if they do not tell. */
export function qemuUser(capabilities: string): QemuUser {
  const { capabilities: root } = parseXml(capabilities) as { capabilities: { host?: { secmodel?: unknown } } };
  const models = [root.host?.secmodel].flat() as readonly { model?: string; baselabel?: unknown }[];
  const labels = [models.find((each) => each?.model === 'dac')?.baselabel].flat();
  const texts = labels.map((label) =>
    typeof label === 'object' && label !== null ? (label as Record<string, unknown>)['#text'] : label,
  );
  const [, uid, gid] = /^\+(\d+):\+(\d+)$/.exec(String(texts[0])) ?? [];
  if (uid === undefined || gid === undefined) throw new Error('libvirt does not tell which user it runs QEMU as');
  return { uid: Number(uid), gid: Number(gid) };
}

/** Makes the directory of the socket, in which QEMU can make it. Repeatable. */
export async function makeScreenDirectory(socket: string, { uid, gid }: QemuUser): Promise<void> {
  const directory = dirname(socket);
  await mkdir(directory, { recursive: true, mode: 0o700 });
  await chmod(directory, 0o700);
  await chown(directory, uid, gid);
}

/** Throws MachineError if there is none that QEMU made. */
export async function connectToScreen(path: string, { uid }: QemuUser): Promise<Socket> {
  try {
    await using file = await open(path, pathOnly | constants.O_NOFOLLOW);
    const found = await file.stat();
    if (!found.isSocket() || found.uid !== uid) throw new Error(`${path} is no socket of QEMU's`);
    const socket = connect(`/proc/self/fd/${file.fd}`);
    try {
      await once(socket, 'connect', { signal: AbortSignal.timeout(connectMs) });
    } catch (error) {
      socket.destroy();
      throw error;
    }
    return socket;
  } catch (cause) {
    throw new MachineError(noScreen, { cause });
  }
}
