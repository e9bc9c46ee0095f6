/**
 * A connection to the socket that bears a name, and to none that a link in its place leads to: the sockets of libvirt and of Mesos let whoever
 * reaches them do anything with the host. What is connected to is the very file that was looked at, whatever happens to its name meanwhile.
 */
import { closeSync, constants, fstatSync, openSync } from 'node:fs';
import { Socket } from 'node:net';

/** Linux' flag that names a file without opening it: of a link the link itself, which is no socket. */
const pathOnly = 0o10000000;

/** A failure is told as those of any connection are: by `error` and `close`. */
export function connectToOwn(path: string): Socket {
  const socket = new Socket();
  try {
    const file = openSync(path, pathOnly | constants.O_NOFOLLOW);
    try {
      if (!fstatSync(file).isSocket()) throw new Error(`${path} is no socket`);
      // The kernel looks for the name before this returns.
      socket.connect(`/proc/self/fd/${file}`);
    } finally {
      closeSync(file);
    }
  } catch (error) {
    // Not before whoever asked can listen.
    process.nextTick(() => socket.destroy(error as Error));
  }
  return socket;
}
