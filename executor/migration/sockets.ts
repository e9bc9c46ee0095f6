/** The ends of tunnels at a host: unix sockets, in a directory of their own for each migration. */
import { randomBytes } from 'node:crypto';
import { chmod, mkdir, rm } from 'node:fs/promises';
import { createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { messageOf } from '#lib/std/errors.ts';
import type { Log } from '#lib/std/log.ts';
import type { MigrationPeer, SocketPlace, Tunnel } from './peers.ts';
import { tunnels } from './peers.ts';

function directoryUnder(root: string): string {
  return join(root, 'moves');
}

/** What killed workers have left. */
export async function clearSocketPlaces(root: string): Promise<void> {
  await rm(directoryUnder(root), { recursive: true, force: true });
}

/** QEMU runs as a user of its own, to which the hypervisor hands the directory and what is in it. */
export async function socketPlace(root: string, log: Log): Promise<SocketPlace> {
  const above = directoryUnder(root);
  await mkdir(above, { recursive: true });
  await chmod(above, 0o711);
  const directory = join(above, randomBytes(12).toString('base64url'));
  await mkdir(directory, { mode: 0o700 });
  const sockets = { memory: join(directory, 'memory'), disks: join(directory, 'disks') };
  const stack = new AsyncDisposableStack();
  stack.defer(async () => await rm(directory, { recursive: true, force: true }));
  return {
    ...sockets,
    async leadTo(peer, signal) {
      signal.throwIfAborted();
      for (const to of tunnels) stack.use(await listen(sockets[to], to, { peer, signal, log }));
    },
    [Symbol.asyncDispose]: async () => await stack.disposeAsync(),
  };
}

interface Led {
  readonly peer: Pick<MigrationPeer, 'tunnel'>;
  readonly signal: AbortSignal;
  readonly log: Log;
}

async function listen(path: string, to: Tunnel, { peer, signal, log }: Led): Promise<AsyncDisposable> {
  const open = new Set<Duplex>();
  const keep = <T extends Duplex>(stream: T): T => {
    open.add(stream);
    stream.once('close', () => open.delete(stream));
    return stream;
  };
  const lead = async (socket: Socket): Promise<void> => {
    try {
      joinStreams(socket, keep(await peer.tunnel(to, signal)));
    } catch (error) {
      log.warn('A tunnel to another host was not opened', { to, reason: messageOf(error) });
      socket.destroy();
    }
  };
  const server = createServer({ allowHalfOpen: true, pauseOnConnect: true }, (socket) => {
    socket.on('error', () => socket.destroy());
    void lead(keep(socket));
  });
  await new Promise<void>((resolve, reject) => void server.once('error', reject).listen(path, resolve));
  const close = () => {
    for (const stream of open) stream.destroy();
  };
  signal.addEventListener('abort', close, { once: true });
  return {
    async [Symbol.asyncDispose]() {
      signal.removeEventListener('abort', close);
      close();
      await ended(server);
    },
  };
}

async function ended(server: Server): Promise<void> {
  await new Promise<void>((resolve) => void server.close(() => resolve()));
}

/** What comes out of one goes into the other, no faster than that takes it. An end is handed on; with one the other is gone. */
export function joinStreams(one: Duplex, other: Duplex): void {
  for (const [from, to] of [
    [one, other],
    [other, one],
  ] as const) {
    from.on('error', () => from.destroy());
    from.once('close', () => {
      // What was read to its end is still written out.
      if (!from.readableEnded || to.writableFinished) to.destroy();
      else to.once('finish', () => to.destroy());
    });
    from.pipe(to);
  }
}
