/** A directory that is to be there. */
import type { ZooKeeperConnection } from './connection.ts';
import { isZooKeeperError } from './messages.ts';

/** Makes the node `path` and all above it that are not there yet. */
export async function ensureDirectory(connection: ZooKeeperConnection, path: string): Promise<void> {
  const names = path.split('/').slice(1);
  for (const depth of names.keys()) {
    try {
      await connection.create(`/${names.slice(0, depth + 1).join('/')}`, '', 'persistent');
    } catch (error) {
      if (!isZooKeeperError(error, 'NodeExists')) throw error;
    }
  }
}
