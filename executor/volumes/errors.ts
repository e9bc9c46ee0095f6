/** Closed: what keeps a volume from being used, or what is to be known of it. The control plane makes conditions of these words. */
export type VolumeReason =
  | 'Unmounted'
  | 'Stale'
  | 'StaleInUse'
  | 'Hung'
  | 'QuorumLost'
  | 'MountFailed'
  | 'MountPointNotEmpty'
  | 'NotProvisioned'
  | 'BadDisk'
  | 'NoRoom'
  | 'UnsafeReplication'
  | 'QuotaFailed'
  | 'WriterHeld'
  | 'NotAllowed'
  | 'VolumeFailed';

/** Why a volume cannot be used now. All pass when what they name is put right; none is a reason to give a machine up. */
export class VolumeError extends Error {
  readonly reason: VolumeReason;

  constructor(reason: VolumeReason, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'VolumeError';
    this.reason = reason;
  }
}
