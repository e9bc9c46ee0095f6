/** What the two hosts of a live migration say to each other, whatever carries it. */
import type { Duplex } from 'node:stream';
import type { MigrateOrder } from '#lib/api/messages.ts';
import type { MoveSockets } from '../hypervisor.ts';

/** Of one side's words to the other, in bytes. */
export const wordsMax = 4 * 1024 * 1024;

/** Of the HTTP upgrade that makes a connection a tunnel. */
export const upgradeName = 'computefactory-migration';

export type MigrationOutcome = 'Receiving' | 'Taken' | 'Refused';

export type Tunnel = keyof MoveSockets;
export const tunnels: readonly Tunnel[] = ['memory', 'disks'];

/**
 * The destination of one migration. Rejects with MachineError if it does not do what is asked, with a sentence why; with any other error if it
 * may have done so, or cannot be reached. Only what `finish` and `outcome` give is its decision.
 */
export interface MigrationPeer {
  /** See Moves.describe. Its disks and networks are there. */
  describe(signal: AbortSignal): Promise<string>;
  /** See Moves.receive. Once. */
  prepare(begun: string, signal: AbortSignal): Promise<string>;
  /** A connection to what it has prepared. Dispose of it to end it. */
  tunnel(to: Tunnel, signal: AbortSignal): Promise<Duplex>;
  /** All was sent: take it. Repeatable. Receiving if that is not decided yet. */
  finish(sent: string, signal: AbortSignal): Promise<MigrationOutcome>;
  outcome(signal: AbortSignal): Promise<MigrationOutcome>;
  /** It will not be sent. Counts for what has not been taken. */
  refuse(message: string, signal: AbortSignal): Promise<void>;
}

export interface MigrationTarget extends Pick<MigrateOrder['to'], 'url' | 'certificateSha256' | 'token'> {
  readonly uid: string;
  /** Of the migration. */
  readonly id: string;
}

export interface MigrationPeers {
  /** Says nothing to it yet. */
  open(target: MigrationTarget): MigrationPeer;
  /** Names for sockets of one migration at this host. */
  place(): Promise<SocketPlace>;
}

/** Dispose of it: nothing of its sockets stays. */
export interface SocketPlace extends MoveSockets, AsyncDisposable {
  /** At the source: listens at them, and leads what comes to the destination until `signal` aborts. */
  leadTo(peer: Pick<MigrationPeer, 'tunnel'>, signal: AbortSignal): Promise<void>;
}
