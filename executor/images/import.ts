/**
 * Imports one image into the cluster's store: fetch, verify, unpack, inspect, convert, publish under its digest. Safe to repeat and to
 * race: the bytes are written to files of our own, and appear under the digest whole or not at all.
 */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { open, rename, rm } from 'node:fs/promises';
import type { LookupFunction } from 'node:net';
import { join } from 'node:path';
import type { ImageImport, ImportResult, ImportStep } from '#lib/api/launch.ts';
import type { Clock } from '#lib/std/clock.ts';
import type { Random } from '#lib/std/random.ts';
import type { ExecutorConfig } from '../config.ts';
import { ImportError } from './errors.ts';
import { fetchSource } from './fetch.ts';
import { type DiskFormat, detect, readEnds } from './formats.ts';
import { convertToQcow2, qemuImgSize } from './qemu-img.ts';
import { roomFor } from './room.ts';
import { openStaging, type Progress, type Staging } from './staging.ts';
import { unpack } from './unpack.ts';

export interface ImportOptions
  extends Pick<ExecutorConfig, 'hypervisor' | 'imageStore' | 'importDir' | 'allowPrivateSources'> {
  /** What tells this cluster from others that have the store too. */
  readonly cluster: string;
  readonly clock: Clock;
  readonly random: Random;
  /** Instead of the system's resolver. */
  readonly lookup?: LookupFunction;
  /** Aborted when the task is killed or out of time. */
  readonly signal: AbortSignal;
  /** Called for every piece that arrived; `total` if the source tells. */
  onProgress(received: number, total: number | undefined): void;
  /** Called when what may take long begins. */
  onPhase?(phase: NonNullable<ImportStep['phase']>): void;
}

/** Throws ImportError, or the signal's reason. */
export async function importImage(launch: ImageImport, options: ImportOptions): Promise<ImportResult> {
  const checksum = checksumOf(launch.checksum);
  const { imageStore, cluster, clock } = options;
  const staging = await openStaging(launch, { imageStore, cluster, nowMs: clock.now() });
  try {
    const result = await importStaged(launch, checksum, options, staging);
    await staging.remove();
    return result;
  } catch (error) {
    const { aborted, reason } = options.signal;
    if (!aborted && error instanceof ImportError && error.terminal) await staging.remove();
    else await staging.park();
    throw aborted ? reason : error;
  }
}

async function importStaged(
  launch: ImageImport,
  checksum: Checksum | undefined,
  options: ImportOptions,
  staging: Staging,
): Promise<ImportResult> {
  const { imageStore, signal, onPhase = () => undefined } = options;
  const { received } = await staging.progress();
  const room = await roomFor(imageStore, launch.maxVirtualSize, received);
  await fetchSource({ launch, options, staging, room });
  onPhase('Verifying');
  const { sha256: announced } = await staging.progress();
  if (announced !== undefined) await verifyUploaded(announced, staging, signal);
  const isVerified = checksum?.algorithm === 'sha256' && checksum.hex === announced;
  if (checksum && !isVerified) await verify(checksum, { staging, signal, isUploaded: announced !== undefined });
  const limits = { room: await roomFor(imageStore, launch.maxVirtualSize), deadlineMs: launch.timeoutMs, signal };
  const path = await unpack(staging.source, staging.unpacked, limits);
  const { format, virtualSize } = await inspect(launch, path, signal);
  onPhase('Converting');
  const canonical = await convert({ path, format, virtualSize }, staging.canonical, { launch, options });
  await using file = await open(canonical.path, 'r');
  await file.sync();
  const digest = await hashOf('sha256', canonical.path, signal);
  if (launch.digest !== undefined && launch.digest !== digest) throw otherBytes(launch.digest, digest);
  const { size } = await file.stat();
  await publish(canonical.path, imageStore, digest);
  return { digest, format: canonical.format, size, virtualSize, ...sourceOf(await staging.progress()) };
}

const etagLengthMax = 512;
const urlLengthMax = 2048;

function sourceOf({ etag = '', url = '' }: Progress): Pick<ImportResult, 'etag' | 'resolvedURL'> {
  return {
    ...(etag !== '' && etag.length <= etagLengthMax && { etag }),
    ...(url !== '' && url.length <= urlLengthMax && { resolvedURL: url }),
  };
}

/** Machines were made of the first bytes, and are told apart by no other word than the image's name. */
function otherBytes(first: string, digest: string): ImportError {
  const message =
    `The source gives other bytes (${digest}) than when it was imported first (${first}): it has changed since, or was stored in ` +
    'another form by an older version. Copies that exist stay as they are; make a new Image of the new bytes';
  return ImportError.refused('SourceChanged', message);
}

interface Checksum {
  readonly algorithm: 'sha256' | 'sha512';
  readonly hex: string;
}

function checksumOf(text: string | undefined): Checksum | undefined {
  if (text === undefined) return undefined;
  const match = /^(sha256|sha512):([0-9a-f]+)$/i.exec(text);
  const algorithm = match?.[1]?.toLowerCase() as Checksum['algorithm'] | undefined;
  if (!match || algorithm === undefined || match[2]!.length !== (algorithm === 'sha256' ? 64 : 128))
    throw ImportError.refused('BadChecksum', `Cannot read the checksum "${text}": write sha256:<64 hex digits>`);
  return { algorithm, hex: match[2]!.toLowerCase() };
}

/** Pieces of two files, or of one that was written to meanwhile, look like one file here. */
async function verifyUploaded(sha256: string, staging: Staging, signal: AbortSignal): Promise<void> {
  const found = await hashOf('sha256', staging.source, signal);
  if (found === sha256) return;
  const message = `The bytes that came have sha256:${found}, not sha256:${sha256} as the file had before it was sent: upload it again`;
  throw ImportError.refused('ChecksumMismatch', message);
}

interface Verifying {
  readonly staging: Staging;
  readonly signal: AbortSignal;
  readonly isUploaded: boolean;
}

/** Once it may have been a fault on the way, and everything is fetched again; the second time the source has other bytes. */
async function verify({ algorithm, hex }: Checksum, { staging, signal, isUploaded }: Verifying): Promise<void> {
  const found = await hashOf(algorithm, staging.source, signal);
  if (found === hex) return;
  if (isUploaded) {
    const message = `The uploaded file has ${algorithm}:${found}, not ${algorithm}:${hex} as the image's spec says: upload the right one`;
    throw ImportError.refused('ChecksumMismatch', message);
  }
  const mismatches = (await staging.progress()).mismatches + 1;
  staging.keep({ received: 0, mismatches });
  const message = `The source has ${algorithm}:${found}, not ${algorithm}:${hex} as the image's spec says`;
  if (mismatches < 2) throw ImportError.retry('ChecksumMismatch', message);
  throw ImportError.refused('ChecksumMismatch', `${message}, for the second time`);
}

async function hashOf(algorithm: string, path: string, signal: AbortSignal): Promise<string> {
  const hash = createHash(algorithm);
  for await (const chunk of createReadStream(path, { signal, highWaterMark: 2 ** 20 })) hash.update(chunk as Buffer);
  return hash.digest('hex');
}

interface Disk {
  readonly path: string;
  readonly format: DiskFormat;
  readonly virtualSize: number;
}

async function inspect(launch: ImageImport, path: string, signal: AbortSignal): Promise<Omit<Disk, 'path'>> {
  await using file = await open(path, 'r');
  const { format, virtualSize } = detect(await readEnds(file));
  if (launch.format !== undefined && launch.format !== format)
    throw ImportError.refused('WrongFormat', `The image is ${format}, not ${launch.format} as its spec says`);
  checkSize(virtualSize ?? 0, launch);
  const seen = await qemuImgSize(path, format, signal);
  if (seen !== undefined && virtualSize !== undefined && seen !== virtualSize)
    throw ImportError.refused('UnsupportedFormat', `The header says ${virtualSize} bytes, qemu-img ${seen}`);
  const size = seen ?? virtualSize;
  if (size === undefined) throw noQemuImg();
  checkSize(size, launch);
  return { format, virtualSize: size };
}

function checkSize(virtualSize: number, { maxVirtualSize }: ImageImport): void {
  if (virtualSize <= maxVirtualSize) return;
  const limit = `its limit is ${maxVirtualSize} (spec.limits.maxVirtualSize)`;
  throw ImportError.refused('TooLarge', `The image's disk has ${virtualSize} bytes; ${limit}`);
}

function noQemuImg(): ImportError {
  return ImportError.retry('NoQemuImg', 'The host has no qemu-img to convert the image with: install qemu-utils on it');
}

/** What is to be published. */
async function convert(
  disk: Disk,
  path: string,
  { launch, options }: { readonly launch: ImageImport; readonly options: ImportOptions },
): Promise<{ readonly path: string; readonly format: 'qcow2' | 'raw' }> {
  await rm(path, { force: true });
  await (await open(path, 'wx', 0o644)).close();
  const room = await roomFor(options.imageStore, disk.virtualSize);
  const limits = { room, deadlineMs: launch.timeoutMs, signal: options.signal };
  const isConverted = await convertToQcow2(disk, path, limits);
  if (isConverted) {
    await using file = await open(path, 'r');
    const made = detect(await readEnds(file));
    if (made.format !== 'qcow2' || made.virtualSize !== disk.virtualSize)
      throw ImportError.retry('ImportFailed', `qemu-img made ${made.format} of ${made.virtualSize} bytes of the image`);
    return { path, format: 'qcow2' };
  }
  // An imitated machine boots nothing, and its laptop needs no QEMU.
  const { format } = disk;
  if (options.hypervisor !== 'sim' || (format !== 'qcow2' && format !== 'raw')) throw noQemuImg();
  return { path: disk.path, format };
}

/** The directory is synced too: an Image that is Ready must not vanish with a power cut. Two hosts that race rename equal bytes. */
async function publish(path: string, imageStore: string, digest: string): Promise<void> {
  await rename(path, join(imageStore, digest));
  await using directory = await open(imageStore, 'r');
  await directory.sync();
}
