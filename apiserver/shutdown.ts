/**
 * How a server goes, so that no client notices more than it must:
 *
 *   /readyz fails ──► load balancers look elsewhere (delay) ──► no new connections; HTTP/2 clients get GOAWAY
 *                ──► requests under way are answered; watches end one by one ──► whoever is left at the deadline is cut
 */
import type { Clock } from '#lib/std/clock.ts';
import type { Log } from '#lib/std/log.ts';
import type { Leaving } from './chain/leaving.ts';
import type { Connections } from './connections.ts';

export interface ShutdownTimes {
  /** From the moment /readyz fails until no more requests are taken. */
  readonly delayMs: number;
  /** Then requests that are under way have so long to finish. */
  readonly drainMs: number;
}

export const defaultShutdown: ShutdownTimes = { delayMs: 0, drainMs: 5_000 };

export interface Stopping {
  readonly clock: Clock;
  readonly log: Log;
  readonly connections: Connections;
  readonly leaving: Leaving;
  /** Makes /readyz fail. */
  readonly announce: () => void;
  /** From here on requests are refused, and consoles end. */
  readonly hangUp: () => void;
}

export async function shutDown(parts: Stopping, { delayMs, drainMs }: ShutdownTimes): Promise<void> {
  const { clock, log, connections, leaving, announce, hangUp } = parts;
  announce();
  if (delayMs > 0) await clock.sleep(delayMs);
  const started = clock.monotonic();
  const closed = connections.close();
  leaving.begin(drainMs / 2);
  hangUp();
  using _ = clock.timeout(
    () => log.warn('Cutting connections that are still open', { cut: connections.cut() }),
    drainMs,
  );
  await closed;
  log.info('No connection is left', { afterMs: Math.round(clock.monotonic() - started) });
}
