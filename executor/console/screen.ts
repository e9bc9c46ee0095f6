/** Screens: a connection of its own to the hypervisor for every client. Who may not type sees everything and moves nothing. */
import type { Duplex } from 'node:stream';
import type { WebSocket } from 'ws';
import { messageOf } from '#lib/std/errors.ts';
import type { Log } from '#lib/std/log.ts';
import { type Hypervisor, MachineError } from '../hypervisor.ts';
import { closeCode } from './close-codes.ts';
import { rfbInput } from './rfb-input.ts';
import { Sharing } from './sharing.ts';

/** So much may wait on the way to a client, and on the way to the guest. */
const waitingBytesMax = 1_048_576;

export interface Screens {
  /** Serves a client until it goes or the machine does. `readOnly`: it never types. */
  serve(client: WebSocket, uid: string, readOnly: boolean): void;
}

export function screens(hypervisor: Pick<Hypervisor, 'openScreen'>, log: Log): Screens {
  const shared = new Map<string, Sharing<WebSocket>>();

  function join(client: WebSocket, uid: string): () => boolean {
    const sharing = shared.get(uid) ?? new Sharing<WebSocket>();
    shared.set(uid, sharing);
    sharing.join(client);
    client.once('close', () => {
      sharing.leave(client);
      if (sharing.size === 0 && shared.get(uid) === sharing) shared.delete(uid);
    });
    return () => sharing.mayType(client);
  }

  return {
    serve(client, uid, readOnly) {
      client.on('error', (error) => log.info('A client of a screen broke off', { uid, reason: error.message }));
      // What is sent before the guest's side is open waits.
      client.pause();
      const mayType = readOnly ? () => false : join(client, uid);
      hypervisor.openScreen(uid).then(
        (screen) => connectBoth(client, screen, mayType, (reason) => log.info('A screen was cut', { uid, reason })),
        (error) => {
          log.info('Cannot serve a screen', { uid, reason: messageOf(error) });
          end(client, error instanceof MachineError ? error.message : 'The host cannot show the screen now');
        },
      );
    },
  };
}

function connectBoth(client: WebSocket, screen: Duplex, mayType: () => boolean, tell: (why: string) => void): void {
  const input = rfbInput();
  client.once('close', () => screen.destroy());
  if (client.readyState !== client.OPEN) screen.destroy();
  client.on('message', (data: Buffer) => {
    try {
      for (const { bytes, acts } of input(data)) if (!acts || mayType()) screen.write(bytes);
      if (screen.writableLength > waitingBytesMax) client.pause();
    } catch (error) {
      tell(messageOf(error));
      client.close(closeCode.notUnderstood, 'This is not RFB');
    }
  });
  screen.on('drain', () => client.resume());
  screen.on('data', (data: Buffer) => {
    // Called when it is on its way: only then there is room for more.
    client.send(data, { binary: true }, () => screen.resume());
    if (client.bufferedAmount > waitingBytesMax) screen.pause();
  });
  screen.once('end', () => screen.destroy());
  screen.on('error', (error) => tell(messageOf(error)));
  screen.once('close', () => end(client, 'The machine was turned off'));
  client.resume();
}

function end(client: WebSocket, why: string): void {
  // A paused client would not hear the answer to its close.
  client.resume();
  client.close(closeCode.noConsole, why);
}
