/**
 * Where things are. On the host, `<root>/volumes/<gluster volume>/`: the mount point `mnt`, the same to read alone at `ro`, and `holders/<holder>.json`; beside it
 * the client's log, which stays.
 * On the Gluster volume, `/cf/<uid of the Volume>/`: `volume.json`, which says that it is that Volume's, `data/` that guests see or
 * `disk.qcow2`, and `writers/`; while a disk is filled from another also `fill-<host>-<random>`, which becomes the disk. `/cf/<uid>.sizes/` has a file for each size that was ever wanted, of which the largest holds. `/.cf-host-<host>` is
 * written by each host to see whether it can.
 */
import { join } from 'node:path';
import type { VolumeOnHost } from '#lib/api/launch.ts';

/** A Gluster volume and where its description can be had, as the host reaches it. */
export interface GlusterVolume {
  /** Host names or addresses; the first that answers. */
  readonly servers: readonly string[];
  readonly name: string;
}

/** A Volume as a host is told of it. */
export interface VolumeSpec extends VolumeOnHost {
  readonly installation: string;
}

const uidPattern = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
/** As Gluster itself asks for; these become arguments and parts of paths. */
const namePattern = /^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$/;
const serverPattern = /^[A-Za-z0-9][A-Za-z0-9.:-]{0,252}$/;
/** What a file may be called, less what stands before it. */
const hostPattern = /^[A-Za-z0-9][A-Za-z0-9._-]{0,199}$/;
const serversMax = 8;

/** Throws TypeError naming what is wrong. */
export function requireSafeVolume({ uid, glusterVolume, bytes }: VolumeSpec): void {
  requireUid(uid);
  requireSafeName(glusterVolume);
  if (!Number.isSafeInteger(bytes) || bytes <= 0) throw new TypeError(`Cannot make a volume of ${bytes} bytes`);
}

export function isUid(uid: string): boolean {
  return uidPattern.test(uid);
}

export function requireUid(uid: string): void {
  if (!isUid(uid)) throw new TypeError(`Cannot use ${JSON.stringify(uid)} as a uid`);
}

/** Throws TypeError. */
export function requireSafeHost(host: string): void {
  if (!hostPattern.test(host)) throw new TypeError(`Cannot use ${JSON.stringify(host)} as the name of a host`);
}

/** Throws TypeError. */
export function requireSafeServers(servers: readonly string[]): void {
  if (servers.length === 0 || servers.length > serversMax || !servers.every((server) => serverPattern.test(server)))
    throw new TypeError(`Cannot mount from the Gluster servers ${JSON.stringify(servers)}`);
}

export function isVolumeName(name: string): boolean {
  return namePattern.test(name);
}

/** Throws TypeError. */
export function requireSafeName(name: string): void {
  if (!isVolumeName(name)) throw new TypeError(`Cannot use ${JSON.stringify(name)} as the name of a Gluster volume`);
}

export const onHost = {
  volumes: (root: string): string => join(root, 'volumes'),
  volume: (root: string, name: string): string => join(root, 'volumes', name),
  point: (root: string, name: string): string => join(root, 'volumes', name, 'mnt'),
  readOnly: (root: string, name: string): string => join(root, 'volumes', name, 'ro'),
  /** Where that is prepared. */
  readOnlyDraft: (root: string, name: string): string => join(root, 'volumes', name, 'ro.draft'),
  log: (root: string, name: string): string => join(root, 'volumes', `${name}.log`),
  holders: (root: string, name: string): string => join(root, 'volumes', name, 'holders'),
} as const;

/** Relative to the root of the Gluster volume. */
export const onVolume = {
  all: 'cf',
  host: (host: string): string => `.cf-host-${host}`,
  directory: (uid: string): string => `cf/${uid}`,
  marker: (uid: string): string => `cf/${uid}/volume.json`,
  data: (uid: string): string => `cf/${uid}/data`,
  disk: (uid: string): string => `cf/${uid}/disk.qcow2`,
  /** Beside the Volume: what is full has no room left for the wish that it be larger. */
  sizes: (uid: string): string => `cf/${uid}.sizes`,
  /** Stays as long as the Volume, so that no host that comes late with a smaller one undoes a larger. */
  size: (uid: string, bytes: number): string => `cf/${uid}.sizes/${bytes}`,
  fills: (host: string): string => `fill-${host}-`,
  writers: (uid: string): string => `cf/${uid}/writers`,
} as const;
