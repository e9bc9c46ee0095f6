/** One address for several servers: each connection goes to one of them by chance, and is cut after a while by chance. */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import type { Clock } from '#lib/std/clock.ts';
import type { Random } from '#lib/std/random.ts';

export interface SwitchingProxy extends AsyncDisposable {
  readonly port: number;
  /** Connections so far, one number per server. */
  readonly counts: readonly number[];
  /** From now on connections stay. */
  calm(): void;
}

export async function switchingProxy(
  ports: readonly number[],
  { random, clock, longestMs }: { readonly random: Random; readonly clock: Clock; readonly longestMs: number },
): Promise<SwitchingProxy> {
  const counts = ports.map(() => 0);
  const sockets = new Set<Socket>();
  let calm = false;
  const server = createServer((client) => {
    const chosen = Math.floor(random.next() * ports.length);
    counts[chosen]! += 1;
    const upstream = connect(ports[chosen]!, '127.0.0.1');
    const cut = () => {
      client.destroy();
      upstream.destroy();
    };
    const timer = clock.timeout(() => calm || cut(), random.next() ** 2 * longestMs);
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      // Either end may vanish at any time: that is what this is for.
      socket.on('error', cut).on('close', () => {
        sockets.delete(socket);
        timer[Symbol.dispose]();
        cut();
      });
    }
    client.pipe(upstream).pipe(client);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    counts,
    calm: () => {
      calm = true;
    },
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}
