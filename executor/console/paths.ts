import { createHash } from 'node:crypto';
import { join } from 'node:path';

export interface ConsolePaths {
  readonly consoleSocket: string;
  readonly consoleLog: string;
  readonly vncSocket: string;
}

/**
 * Unix sockets of a machine's serial console and of its screen, and the file that its serial output goes to. The sockets are not with the
 * machine's other files: the path of a socket has 107 bytes at most, and a folder named by a uid would take a third of them from whoever
 * chooses the root.
 */
export function consolePaths(root: string, uid: string): ConsolePaths {
  const short = createHash('sha256').update(uid).digest('base64url').slice(0, 16);
  return {
    consoleSocket: join(root, 'tty', short),
    consoleLog: join(root, 'vms', uid, 'console.log'),
    vncSocket: join(root, 'vnc', short),
  };
}
