/**
 * Imports one image into the cluster's store: fetch, verify, inspect, publish under its digest. Safe to repeat and to race: the bytes
 * are written to a file of our own, and appear under the digest whole or not at all.
 */
import { createHash, type Hash } from 'node:crypto';
import { type FileHandle, mkdir, open, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { ImageImport, ImportResult } from '#lib/api/launch.ts';
import { ImportError } from './errors.ts';
import { openSource } from './fetch.ts';
import { detect, headerBytes } from './qcow2-header.ts';
import { qemuImgSize } from './qemu-img.ts';

export interface ImportOptions {
  readonly imageStore: string;
  readonly importDir: string;
  /** Aborted when the task is killed or out of time. */
  readonly signal: AbortSignal;
  /** Called for every piece that arrived; `total` if the source tells. */
  onProgress(received: number, total: number | undefined): void;
}

/** A file is at most so much larger than the disk it describes: tables and alignment. */
const slackBytes = 64 * 1024 * 1024;

/** Throws ImportError, or the signal's reason. */
export async function importImage(launch: ImageImport, options: ImportOptions): Promise<ImportResult> {
  const incoming = join(options.imageStore, 'incoming');
  await mkdir(incoming, { recursive: true });
  // Named by the task: what a killed worker left is overwritten by the next try.
  const path = join(incoming, launch.taskId);
  try {
    const { digest, size, head } = await receive(launch, options, path);
    const { format, virtualSize } = await inspect(launch, path, head, size, options.signal);
    options.signal.throwIfAborted();
    await publish(path, options.imageStore, digest);
    return { digest, format, size, virtualSize };
  } finally {
    await rm(path, { force: true });
  }
}

interface Received {
  readonly digest: string;
  readonly size: number;
  readonly head: Buffer;
}

async function receive(launch: ImageImport, options: ImportOptions, path: string): Promise<Received> {
  const maxSize = launch.maxVirtualSize + slackBytes;
  const { body, size: total } = await openSource(launch, options.importDir, options.signal);
  using _ = { [Symbol.dispose]: () => void body.destroy() };
  if (total !== undefined && total > maxSize) throw tooLarge(total, launch.maxVirtualSize);
  await rm(path, { force: true });
  await using file = await open(path, 'wx+', 0o644);
  const wanted = checksumOf(launch.checksum);
  const hashes = new Map([
    ['sha256', createHash('sha256')],
    ...(wanted ? [[wanted.algorithm, createHash(wanted.algorithm)] as const] : []),
  ]);
  const size = await copy(body, file, { hashes, maxSize, launch, total, options });
  if (total !== undefined && size !== total)
    throw ImportError.retry('SourceCut', `The source ended after ${size} of ${total} bytes`);
  const digests = new Map([...hashes].map(([name, hash]) => [name, hash.digest('hex')]));
  if (wanted && digests.get(wanted.algorithm) !== wanted.hex)
    throw ImportError.retry(
      'ChecksumMismatch',
      `The source has ${wanted.algorithm}:${digests.get(wanted.algorithm)}, not ${launch.checksum}`,
    );
  await file.sync();
  const { buffer, bytesRead } = await file.read(Buffer.alloc(headerBytes), 0, headerBytes, 0);
  return { digest: digests.get('sha256')!, size, head: buffer.subarray(0, bytesRead) };
}

async function copy(
  body: AsyncIterable<Buffer>,
  file: FileHandle,
  context: {
    hashes: ReadonlyMap<string, Hash>;
    maxSize: number;
    launch: ImageImport;
    total: number | undefined;
    options: ImportOptions;
  },
): Promise<number> {
  const { hashes, maxSize, launch, total, options } = context;
  let size = 0;
  try {
    for await (const chunk of body) {
      options.signal.throwIfAborted();
      size += chunk.length;
      if (size > maxSize) throw tooLarge(size, launch.maxVirtualSize);
      for (const hash of hashes.values()) hash.update(chunk);
      await file.writeFile(chunk);
      options.onProgress(size, total);
    }
  } catch (cause) {
    options.signal.throwIfAborted();
    throw cause instanceof Error && 'code' in cause && String(cause.code).startsWith('UND_ERR')
      ? ImportError.retry('SourceBroken', `The source broke off after ${size} bytes: ${cause.message}`, { cause })
      : cause;
  }
  return size;
}

function tooLarge(size: number, limit: number): ImportError {
  return ImportError.refused(
    'TooLarge',
    `The source has ${size} bytes or more; the image's limit is ${limit} (spec.limits)`,
  );
}

function checksumOf(text: string | undefined): { algorithm: 'sha256' | 'sha512'; hex: string } | undefined {
  if (text === undefined) return undefined;
  const match = /^(sha256|sha512):([0-9a-f]+)$/i.exec(text);
  const algorithm = match?.[1]?.toLowerCase() as 'sha256' | 'sha512' | undefined;
  if (!match || algorithm === undefined || match[2]!.length !== (algorithm === 'sha256' ? 64 : 128))
    throw ImportError.refused('BadChecksum', `Cannot read the checksum "${text}": write sha256:<64 hex digits>`);
  return { algorithm, hex: match[2]!.toLowerCase() };
}

async function inspect(
  launch: ImageImport,
  path: string,
  head: Buffer,
  size: number,
  signal: AbortSignal,
): Promise<Pick<ImportResult, 'format' | 'virtualSize'>> {
  if (size === 0) throw ImportError.refused('Empty', 'The source has no bytes');
  const detected = detect(head, size);
  if (launch.format !== undefined && launch.format !== detected.format)
    throw ImportError.refused('WrongFormat', `The image is ${detected.format}, not ${launch.format} as its spec says`);
  if (detected.virtualSize > launch.maxVirtualSize) {
    const { virtualSize } = detected;
    throw ImportError.refused(
      'TooLarge',
      `The image's disk has ${virtualSize} bytes; its limit is ${launch.maxVirtualSize}`,
    );
  }
  const seen = await qemuImgSize(path, detected.format, signal);
  // qemu-img rounds a raw file up to whole sectors.
  const virtualSize = detected.format === 'raw' ? Math.ceil(detected.virtualSize / 512) * 512 : detected.virtualSize;
  if (seen !== undefined && seen !== virtualSize)
    throw ImportError.refused('UnsupportedFormat', `The header says ${virtualSize} bytes, qemu-img ${seen}`);
  return { format: detected.format, virtualSize };
}

/** The directory is synced too: an Image that is Ready must not vanish with a power cut. Two hosts that race rename equal bytes. */
async function publish(path: string, imageStore: string, digest: string): Promise<void> {
  await rename(path, join(imageStore, digest));
  await using directory = await open(imageStore, 'r');
  await directory.sync();
}
