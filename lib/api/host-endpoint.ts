/** What a host's executor serves over TLS to the API server, machine by machine and image by image: paths, and the tokens that open them. */
import { createHmac } from 'node:crypto';

/** What can be asked of a machine at its host. Each is a subresource of VirtualMachine too. */
export const machineServices = ['console', 'vnc', 'log', 'screenshot', 'exec'] as const;
export type MachineService = (typeof machineServices)[number];

/** On top of the URL that a heartbeat tells. */
export function machinePath(uid: string, service: MachineService): string {
  return `/machines/${uid}/${service}`;
}

/**
 * Opens one thing of one machine. `secret` is the token of the heartbeat, which is new with every worker and never sent itself; but for
 * consoles, which executors before 0.5 open by it.
 */
export function machineToken(secret: string, uid: string, service: MachineService): string {
  if (service === 'console') return secret;
  return tokenFor(secret, machinePath(uid, service));
}

/** Where the file of an Image is sent to, piece after piece. A subresource of Image too. */
export const uploadService = 'upload';

/** As machinePath, of an Image. GET tells what is there, PUT adds to it. */
export function uploadPath(uid: string): string {
  return `/images/${uid}/${uploadService}`;
}

export function uploadToken(secret: string, uid: string): string {
  return tokenFor(secret, uploadPath(uid));
}

/** Where the source of a live migration speaks to the destination of one machine. */
export function migrationPath(uid: string, id: string): string {
  return `/migrations/${uid}/${id}`;
}

/** Opens one migration of one machine at its destination, whose secret that is. */
export function migrationToken(secret: string, uid: string, id: string): string {
  return tokenFor(secret, migrationPath(uid, id));
}

function tokenFor(secret: string, path: string): string {
  return createHmac('sha256', secret).update(path).digest('base64url');
}

/** What there is of a file that is uploaded: the answer to GET and PUT, and what the API server tells its clients. */
export interface UploadState {
  /** So many of its first bytes are on the disk of the store: the next piece begins there. While somebody sends: so many have come. */
  readonly received: number;
  /** Bytes and sha256 (hex) of the whole file, as they were announced; absent before the first piece. */
  readonly size?: number;
  readonly sha256?: string;
  /** All of it is there. */
  readonly complete: boolean;
  /** Somebody is sending now. */
  readonly busy: boolean;
}
