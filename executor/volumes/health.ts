/** What is wrong with a mount. Pure. */

import type { MountSeen } from './client.ts';
import type { VolumeReason } from './errors.ts';

/** What a host sees when it tries to use a mount (hand/probe.ts). */
export interface Probe {
  /** One per group of bricks that hold the same: whether each is reached, and how Gluster decides that enough are. */
  readonly replicas: readonly { readonly up: readonly boolean[]; readonly quorum: string }[];
  /** Bricks that belong to no such group. */
  readonly single: number;
  readonly totalBytes: number;
  readonly freeBytes: number;
  /** Bytes of each Volume that is used here, by its uid. */
  readonly used: Readonly<Record<string, number>>;
}

export type Probed =
  | { readonly probe: Probe }
  /** errno's name, if the kernel said one. */
  | { readonly error: string; readonly code?: string | undefined }
  | 'Hung';

export type MountHealth =
  | {
      /** A machine may start on it. */
      readonly usable: true;
      readonly reason: 'Healthy' | 'BrickDown' | 'NearlyFull';
      readonly message: string;
      readonly bricks?: { readonly online: number; readonly total: number };
      /** Three copies or an arbiter, and no writing without most of them. */
      readonly safe?: boolean;
      readonly used?: Probe['used'];
    }
  | {
      readonly usable: false;
      readonly reason: Extract<VolumeReason, 'Unmounted' | 'Stale' | 'Hung' | 'QuorumLost' | 'VolumeFailed'>;
      readonly message: string;
    };

/** Of all its bytes. */
const nearlyFull = 0.05;
/** What a client says whose bricks are too few: read-only with some, not connected with others. */
const quorumCodes = new Set(['ENOTCONN', 'EROFS', 'EIO']);

export function judge(seen: MountSeen, probed: Probed): MountHealth {
  if (!seen.entry) return bad('Unmounted', 'It is not mounted');
  // Looked at before what the mount answers: with too few bricks a living client gives the same errors.
  if (seen.clients.length === 0)
    return bad('Stale', 'The Gluster client of the mount is gone; it is mounted anew when nobody uses it');
  if (probed === 'Hung')
    return bad('Hung', 'It does not answer; it may when the network does, or Gluster gives a brick up');
  if ('error' in probed) {
    if (probed.code === 'ENOSPC') return { usable: true, reason: 'NearlyFull', message: 'No space is left' };
    if (quorumCodes.has(probed.code ?? ''))
      return bad('QuorumLost', `Too few bricks are reached from this host to read and write (${probed.code})`);
    return bad('VolumeFailed', probed.error);
  }
  return judgeProbe(probed.probe);
}

function judgeProbe({ replicas, single, totalBytes, freeBytes, used }: Probe): MountHealth {
  const all = replicas.flatMap(({ up }) => up);
  const bricks = { online: all.filter(Boolean).length + single, total: all.length + single };
  const safe =
    single === 0 && replicas.length > 0 && replicas.every(({ up, quorum }) => up.length >= 3 && quorum !== 'none');
  const facts = { usable: true, bricks, safe, used } as const;
  if (bricks.online < bricks.total)
    return {
      ...facts,
      reason: 'BrickDown',
      message: `${bricks.online} of ${bricks.total} bricks are reached from this host`,
    };
  if (freeBytes < totalBytes * nearlyFull)
    return { ...facts, reason: 'NearlyFull', message: `${freeBytes} of ${totalBytes} bytes are left` };
  return { ...facts, reason: 'Healthy', message: '' };
}

function bad(reason: Extract<MountHealth, { usable: false }>['reason'], message: string): MountHealth {
  return { reason, usable: false, message };
}
