/** Brings the bytes of an image's source here: bounded in time and size, from http(s) or from the one import directory only. */
import { open, realpath } from 'node:fs/promises';
import { isAbsolute, join, sep } from 'node:path';
import type { Readable } from 'node:stream';
import { request } from 'undici';
import type { ImageImport } from '#lib/api/launch.ts';
import { ImportError } from './errors.ts';

const maxRedirects = 5;
/** Answers that asking again cannot change; others may be a bad moment of the server. */
const hopeless = new Set([400, 401, 403, 404, 405, 406, 410, 414, 451]);

export interface Source {
  readonly body: Readable;
  /** If it is known. */
  readonly size?: number;
}

/** Opens the source. Throws ImportError. The caller reads the body to its end or destroys it. */
export async function openSource(launch: ImageImport, importDir: string, signal: AbortSignal): Promise<Source> {
  const { http, file } = launch.source;
  if (http) return await openHttp(http.url, signal);
  if (file) return await openFile(file.path, importDir);
  throw ImportError.refused(
    'NoSource',
    `Image ${launch.namespace}/${launch.name} has no source that this executor knows`,
  );
}

async function openHttp(url: string, signal: AbortSignal): Promise<Source> {
  let next = url;
  for (let hop = 0; hop <= maxRedirects; hop++) {
    const target = checkedUrl(next);
    const answer = await request(target, { signal, headersTimeout: 60_000, bodyTimeout: 60_000 }).catch((cause) => {
      throw ImportError.retry('SourceUnreachable', `Cannot get ${target.href}: ${String(cause)}`, { cause });
    });
    const { statusCode: status, headers, body } = answer;
    if (status === 200) return { body, ...sizeOf(headers['content-length']) };
    await body.dump();
    const location = headers.location;
    if ([301, 302, 303, 307, 308].includes(status) && typeof location === 'string')
      next = new URL(location, target).href;
    else throw statusError(target, status);
  }
  throw ImportError.refused('TooManyRedirects', `${url} redirects more than ${maxRedirects} times`);
}

/** A redirect could otherwise read files of the host. */
function checkedUrl(text: string): URL {
  const url = URL.parse(text);
  if (url?.protocol !== 'http:' && url?.protocol !== 'https:')
    throw ImportError.refused('UnsupportedURL', `Cannot fetch "${text}": only http and https URLs`);
  return url;
}

function statusError(url: URL, status: number): ImportError {
  const message = `${url.href} answered ${status}`;
  return hopeless.has(status)
    ? ImportError.refused(`HTTP${status}`, message)
    : ImportError.retry(`HTTP${status}`, message);
}

function sizeOf(length: string | string[] | undefined): { size?: number } {
  const size = Number(length);
  return Number.isSafeInteger(size) && size >= 0 && length !== undefined ? { size } : {};
}

/** The real path must lie under the real import directory, whatever links and dots the given one has. */
async function openFile(path: string, importDir: string): Promise<Source> {
  const base = await realpath(importDir).catch((cause) => {
    throw ImportError.retry('NoImportDirectory', `The host has no import directory ${importDir}`, { cause });
  });
  const asked = isAbsolute(path) ? path : join(base, path);
  const real = await realpath(asked).catch((cause) => {
    throw ImportError.refused('SourceNotFound', `There is no file ${path} under the host's import directory`, {
      cause,
    });
  });
  if (!real.startsWith(base + sep))
    throw ImportError.refused('SourceOutside', `${path} is not under the host's import directory`);
  const handle = await open(real, 'r');
  const info = await handle.stat();
  if (!info.isFile()) {
    await handle.close();
    throw ImportError.refused('SourceNotAFile', `${path} is not a regular file`);
  }
  return { body: handle.createReadStream(), size: info.size };
}
