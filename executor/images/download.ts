/**
 * Downloads a source over http(s). What has arrived stays when the connection breaks off, the host refuses more, or this process is killed,
 * and the rest is asked for by range: only if the server says by its ETag that they are bytes of the same file (RFC 9110, If-Range).
 */
import { type FileHandle, open } from 'node:fs/promises';
import type { Readable } from 'node:stream';
import { type Dispatcher, request } from 'undici';
import { backoffMs } from '#lib/std/backoff.ts';
import { messageOf } from '#lib/std/errors.ts';
import { addressRule } from './addresses.ts';
import { ImportError } from './errors.ts';
import type { Fetching } from './fetch.ts';
import { guardedAgent } from './guarded-agent.ts';
import type { Progress, Staging } from './staging.ts';

const maxRedirects = 5;
/** Answers that asking again cannot change; others may be a bad moment of the server. */
const hopeless = new Set([400, 401, 403, 404, 405, 406, 410, 414, 451]);
const silenceMs = 60_000;
/** So much may be lost when the process is killed. */
const keepEveryBytes = 16 * 1024 * 1024;
/** So often in a row nothing may come before the cluster server decides when and where to go on. */
const fruitlessMax = 3;
const again = { firstMs: 500, maxMs: 30_000 } as const;

/** Throws ImportError, or the signal's reason. Ends by the signal at the latest: a source that goes on breaking off goes on being asked. */
export async function download(url: string, fetching: Fetching): Promise<void> {
  const { options, staging } = fetching;
  const { clock, random, signal } = options;
  const agent = guardedAgent(addressRule(options.allowPrivateSources), options.lookup);
  using _ = { [Symbol.dispose]: () => void agent.destroy() };
  await using file = await openKept(staging.source);
  for (let breaks = 1, fruitless = 0; ; breaks++) {
    const before = await staging.progress();
    try {
      return await fetchRest(url, agent, file, fetching);
    } catch (error) {
      signal.throwIfAborted();
      const after = await staging.progress();
      if (!(error instanceof ImportError) || error.terminal || after.etag === undefined) throw error;
      fruitless = after.etag === before.etag && after.received <= before.received ? fruitless + 1 : 0;
      if (fruitless >= fruitlessMax) throw error;
      await clock.sleep(backoffMs(breaks, again, random), signal);
    }
  }
}

async function openKept(path: string): Promise<FileHandle> {
  return await open(path, 'r+').catch(() => open(path, 'wx+', 0o644));
}

/** Nothing is taken for received that is not in the file. */
async function progressOf(file: FileHandle, staging: Staging): Promise<Progress> {
  const progress = await staging.progress();
  const { size } = await file.stat();
  return size < progress.received ? { received: 0, mismatches: progress.mismatches } : progress;
}

async function fetchRest(url: string, agent: Dispatcher, file: FileHandle, fetching: Fetching): Promise<void> {
  const { options, staging, room } = fetching;
  const kept = await progressOf(file, staging);
  const { received, etag, total } = kept;
  if (total !== undefined && received === total) return;
  const canResume = received > 0 && etag !== undefined;
  const headers = canResume ? { range: `bytes=${received}-`, 'if-range': etag } : {};
  const { answer, from } = await ask(url, agent, headers, options.signal);
  using _ = { [Symbol.dispose]: () => void answer.body.destroy() };
  const begin = answer.statusCode === 206 ? resumed(answer, kept) : begun(answer, kept, from);
  if (!begin) {
    staging.keep({ received: 0, mismatches: kept.mismatches });
    throw ImportError.retry('SourceBroken', `${shown(new URL(url))} does not give the rest of what it began`);
  }
  if (begin.total !== undefined && begin.total > room.bytes) throw room.tooLarge('The source');
  // Nothing of another version may stand behind what comes now.
  await file.truncate(begin.received);
  staging.keep(begin);
  await append(answer.body, file, begin, fetching);
}

/** A whole file, perhaps another than the last time: nothing was made of that yet. */
function begun({ headers }: Dispatcher.ResponseData, { mismatches }: Progress, url: string): Progress {
  const { etag } = headers;
  const isStrong = typeof etag === 'string' && /^"[^"]*"$/.test(etag);
  const length = headers['content-length'];
  const total = typeof length === 'string' ? Number(length) : Number.NaN;
  return {
    ...{ received: 0, mismatches, url },
    ...(isStrong ? { etag } : {}),
    ...(Number.isSafeInteger(total) && total >= 0 ? { total } : {}),
  };
}

/** Undefined if it is not just what was asked for. */
function resumed({ headers }: Dispatcher.ResponseData, kept: Progress): Progress | undefined {
  const range = /^bytes (\d+)-\d+\/(\d+|\*)$/.exec(String(headers['content-range']));
  const total = range?.[2] === '*' ? kept.total : Number(range?.[2]);
  const isSame = headers.etag === undefined || headers.etag === kept.etag;
  if (!range || kept.etag === undefined || Number(range[1]) !== kept.received || !isSame) return undefined;
  if (kept.total !== undefined && total !== kept.total) return undefined;
  return total === undefined ? kept : { ...kept, total };
}

async function append(body: Readable, file: FileHandle, begin: Progress, fetching: Fetching): Promise<void> {
  const { options, staging, room } = fetching;
  let progress = begin;
  let keptBytes = begin.received;
  const keep = async (): Promise<void> => {
    await file.datasync();
    staging.keep(progress);
    keptBytes = progress.received;
  };
  try {
    for await (const chunk of body as AsyncIterable<Buffer>) {
      options.signal.throwIfAborted();
      const received = progress.received + chunk.length;
      if (received > room.bytes) throw room.tooLarge('The source');
      await file.write(chunk, 0, chunk.length, progress.received);
      progress = { ...progress, received };
      if (received - keptBytes >= keepEveryBytes) await keep();
      options.onProgress(received, progress.total);
    }
  } catch (cause) {
    await keep();
    options.signal.throwIfAborted();
    if (cause !== body.errored) throw cause;
    const message = `The source broke off after ${progress.received} bytes: ${messageOf(cause)}`;
    throw ImportError.retry('SourceBroken', message, { cause });
  }
  await keep();
  const { received, total = received } = progress;
  if (received !== total)
    throw ImportError.retry('SourceBroken', `The source ended after ${received} of ${total} bytes`);
  staging.keep({ ...progress, total });
}

/** Follows redirects, each over a connection whose address is checked. `from`: where they led to. */
async function ask(
  url: string,
  dispatcher: Dispatcher,
  headers: Readonly<Record<string, string>>,
  signal: AbortSignal,
): Promise<{ readonly answer: Dispatcher.ResponseData; readonly from: string }> {
  let next = url;
  for (let hop = 0; hop <= maxRedirects; hop++) {
    const target = checkedUrl(next);
    const options = { dispatcher, headers, signal, headersTimeout: silenceMs, bodyTimeout: silenceMs };
    const answer = await request(target, options).catch((cause) => {
      signal.throwIfAborted();
      if (cause instanceof ImportError) throw cause;
      throw ImportError.retry('SourceUnreachable', `Cannot get ${shown(target)}: ${messageOf(cause)}`, { cause });
    });
    const { statusCode: status, headers: said, body } = answer;
    const from = shown(target);
    if (status === 200 || (status === 206 && headers.range !== undefined)) return { answer, from };
    body.on('error', () => undefined).destroy();
    if (status === 416 && headers.range !== undefined) return { answer: { ...answer, statusCode: 206 }, from };
    if (![301, 302, 303, 307, 308].includes(status) || typeof said.location !== 'string')
      throw statusError(target, status);
    next = URL.parse(said.location, target.href)?.href ?? said.location;
  }
  throw ImportError.refused('TooManyRedirects', `${shown(new URL(url))} redirects more than ${maxRedirects} times`);
}

/** A redirect could otherwise read files of the host. */
function checkedUrl(text: string): URL {
  const url = URL.parse(text);
  if (url?.protocol !== 'http:' && url?.protocol !== 'https:')
    throw ImportError.refused('UnsupportedURL', `Cannot fetch "${text}": only http and https URLs`);
  return url;
}

/** Without what may be a secret in it: a password, a signed query. */
function shown({ origin, pathname }: URL): string {
  return `${origin}${pathname}`;
}

function statusError(url: URL, status: number): ImportError {
  const message = `${shown(url)} answered ${status}`;
  return hopeless.has(status)
    ? ImportError.refused(`HTTP${status}`, message)
    : ImportError.retry(`HTTP${status}`, message);
}
