/** A store of images and an import directory of their own, and servers that images come from. */
import { createHash, randomUUID } from 'node:crypto';
import { mkdirSync, readdirSync } from 'node:fs';
import { mkdtempDisposable } from 'node:fs/promises';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ImageImport, ImportResult } from '#lib/api/launch.ts';
import { systemClock } from '#lib/std/clock.ts';
import { systemRandom } from '#lib/std/random.ts';
import { type ImportOptions, importImage } from '../images/import.ts';
import { imageImport } from './world.ts';

export const sha256 = (data: Buffer): string => createHash('sha256').update(data).digest('hex');

export interface TestStore extends AsyncDisposable {
  readonly directory: string;
  readonly imageStore: string;
  readonly importDir: string;
  /** Images of different uids unless the changes say so. Sources may be on the loopback unless the options say so. */
  run(
    source: ImageImport['source'],
    changes?: Partial<ImageImport>,
    options?: Partial<ImportOptions>,
  ): Promise<ImportResult>;
  /** Digests in the store. */
  stored(): readonly string[];
  /** What is on its way. */
  incoming(): readonly string[];
}

export async function openStore(at?: string): Promise<TestStore> {
  const directory = await mkdtempDisposable(join(tmpdir(), 'cf-'));
  const imageStore = at ?? join(directory.path, 'images');
  const importDir = join(directory.path, 'import');
  for (const path of [imageStore, importDir]) mkdirSync(path, { recursive: true });
  return {
    ...{ directory: directory.path, imageStore, importDir },
    run: async (source, changes = {}, options = {}) =>
      await importImage(imageImport(randomUUID(), source, changes), {
        ...{ hypervisor: 'libvirt', imageStore, importDir, allowPrivateSources: ['127.0.0.0/8'] },
        ...{ cluster: 'lab', clock: systemClock, random: systemRandom },
        signal: AbortSignal.timeout(20_000),
        onProgress: () => undefined,
        ...options,
      }),
    stored: () => readdirSync(imageStore).filter((name) => /^[0-9a-f]{64}$/.test(name)),
    incoming: () => readdirSync(join(imageStore, 'incoming')),
    [Symbol.asyncDispose]: async () => await directory.remove(),
  };
}

export interface TestServer extends AsyncDisposable {
  readonly url: string;
  readonly port: number;
  /** Connections that were made to it. */
  connections(): number;
}

export async function serve(listener: RequestListener, address = '127.0.0.1'): Promise<TestServer> {
  const server = createServer(listener);
  let connections = 0;
  server.on('connection', () => connections++);
  await new Promise<void>((resolve) => server.listen(0, address, resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://${address.includes(':') ? `[${address}]` : address}:${port}`,
    port,
    connections: () => connections,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
