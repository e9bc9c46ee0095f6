/** HTTP/1.1 written by hand: for what no client library would send. */
import { once } from 'node:events';
import { connect } from 'node:tls';
import type { TestServer } from './start.ts';

export interface RawConnection extends Disposable {
  write(text: string | Buffer): void;
  /** All that has come when `enough` says so or the server has closed the connection. */
  read(enough?: (text: string) => boolean): Promise<string>;
  /** What has been answered is all there will be. */
  readonly closed: Promise<void>;
}

const deadlineMs = 15_000;

export async function openRaw({ server, authority }: TestServer): Promise<RawConnection> {
  const socket = connect({
    host: '127.0.0.1',
    port: server.port,
    ca: authority.certificate,
    ALPNProtocols: ['http/1.1'],
  });
  await once(socket, 'secureConnect');
  let text = '';
  let closed = false;
  const { promise, resolve } = Promise.withResolvers<void>();
  socket.setTimeout(deadlineMs, () => socket.destroy(new Error('The server says nothing')));
  socket.on('data', (chunk) => {
    text += chunk.toString('latin1');
  });
  socket
    .on('error', () => socket.destroy())
    .on('close', () => {
      closed = true;
      resolve();
    });
  return {
    write: (data) => void socket.write(data),
    async read(enough = () => false) {
      while (!closed && !enough(text)) await Promise.race([once(socket, 'data').catch(() => promise), promise]);
      return text;
    },
    closed: promise,
    [Symbol.dispose]: () => void socket.destroy(),
  };
}
