/** Brings the bytes of an image's source here: bounded in time and size, from http(s) or from the one import directory only. */
import { constants } from 'node:fs';
import { type FileHandle, open, realpath, stat } from 'node:fs/promises';
import { isAbsolute, join, sep } from 'node:path';
import type { ImageImport } from '#lib/api/launch.ts';
import { download } from './download.ts';
import { ImportError } from './errors.ts';
import type { ImportOptions } from './import.ts';
import type { Room } from './room.ts';
import type { Staging } from './staging.ts';

/** Everything that bringing the bytes here needs. */
export interface Fetching {
  readonly launch: ImageImport;
  readonly options: ImportOptions;
  readonly staging: Staging;
  readonly room: Room;
}

/** Leaves the whole source in `staging.source`. Throws ImportError, or the signal's reason. */
export async function fetchSource(fetching: Fetching): Promise<void> {
  const { launch } = fetching;
  const { http, file, upload } = launch.source;
  if (http) return await download(http.url, fetching);
  if (file) return await copyFile(file.path, fetching);
  if (upload) return await findUploaded(fetching);
  const image = `${launch.namespace}/${launch.name}`;
  throw ImportError.refused('NoSource', `Image ${image} has no source that this executor knows`);
}

/** All of it is there already (uploads.ts), or the upload has to be begun anew. */
async function findUploaded({ staging, room }: Fetching): Promise<void> {
  const { received, total, sha256 } = await staging.progress();
  const { size } = await stat(staging.source).catch(() => ({ size: 0 }));
  if (sha256 === undefined || received !== total || size !== total)
    throw ImportError.refused(
      'UploadIncomplete',
      'The file that was uploaded is not whole in the store: upload it again',
    );
  if (total > room.bytes) throw room.tooLarge('The uploaded file');
}

async function copyFile(path: string, { options, staging, room }: Fetching): Promise<void> {
  await using from = await openBelow(options.importDir, path);
  const { size } = await from.stat();
  if (size > room.bytes) throw room.tooLarge(path);
  await using to = await open(staging.source, 'w');
  const { signal } = options;
  let copied = 0;
  for await (const chunk of from.createReadStream({ autoClose: false, signal })) {
    copied += (chunk as Buffer).length;
    // It may grow while it is read.
    if (copied > room.bytes) throw room.tooLarge(path);
    await to.writeFile(chunk as Buffer);
    options.onProgress(copied, size);
  }
}

/** The real path must lie under the real import directory, whatever links and dots the given one has. */
async function openBelow(importDir: string, path: string): Promise<FileHandle> {
  const base = await realpath(importDir).catch((cause) => {
    throw ImportError.retry('NoImportDirectory', `The host has no import directory ${importDir}`, { cause });
  });
  const asked = isAbsolute(path) ? path : join(base, path);
  const real = await realpath(asked).catch((cause) => {
    const message = `There is no file ${path} under the host's import directory`;
    throw ImportError.refused('SourceNotFound', message, { cause });
  });
  if (!real.startsWith(base + sep))
    throw ImportError.refused('SourceOutside', `${path} is not under the host's import directory`);
  // A pipe would be waited for; a link that was put there since is not followed.
  const handle = await open(real, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOFOLLOW);
  if ((await handle.stat()).isFile()) return handle;
  await handle.close();
  throw ImportError.refused('SourceNotAFile', `${path} is not a regular file`);
}
