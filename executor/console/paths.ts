import { createHash } from 'node:crypto';
import { join } from 'node:path';

/**
 * Unix socket of a machine's serial console, and the file its output goes to. The socket is not with the machine's other files: the path of
 * a socket has 107 bytes at most, and a folder named by a uid would take a third of them from whoever chooses the root.
 */
export function consolePaths(root: string, uid: string): { consoleSocket: string; consoleLog: string } {
  const short = createHash('sha256').update(uid).digest('base64url').slice(0, 16);
  return { consoleSocket: join(root, 'tty', short), consoleLog: join(root, 'vms', uid, 'console.log') };
}
