/** Serial consoles: one connection to a machine's socket, since QEMU takes no second one, and any number of clients behind it. */
import type { Socket } from 'node:net';
import type { WebSocket } from 'ws';
import { messageOf } from '#lib/std/errors.ts';
import type { Log } from '#lib/std/log.ts';
import { closeCode, maxBufferedBytes } from './close-codes.ts';
import { lastPrinted } from './log.ts';
import { connectToOwn } from './own-socket.ts';
import { consolePaths } from './paths.ts';
import { Sharing } from './sharing.ts';

/** How much of the past a client is shown first. */
const replayBytes = 65_536;
/** What was typed and the guest has not read. More is not taken from the client. */
const maxTypedBytes = 65_536;

const note = {
  lost: '\r\n[Another client has the console now. You read along, what you type is not sent]\r\n',
  again: '\r\n[You have the console again]\r\n',
} as const;

export interface SerialConsoles {
  /** Serves a client until it goes or the machine does. `readOnly`: it never types. */
  serve(client: WebSocket, uid: string, readOnly: boolean): void;
}

export function serialConsoles(root: string, log: Log): SerialConsoles {
  const lines = new Map<string, SerialLine>();
  return {
    serve(client, uid, readOnly) {
      let line = lines.get(uid);
      if (!line) {
        const opened = new SerialLine(root, uid, log, () => {
          if (lines.get(uid) === opened) lines.delete(uid);
        });
        line = opened;
        lines.set(uid, line);
      }
      line.add(client, readOnly);
    },
  };
}

class SerialLine {
  readonly #consoleLog: string;
  readonly #log: Log;
  readonly #uid: string;
  readonly #serial: Socket;
  readonly #connected: Promise<void>;
  readonly #clients = new Set<WebSocket>();
  /** What has come for a client that is still being shown the past. */
  readonly #early = new Map<WebSocket, Buffer[]>();
  readonly #sharing = new Sharing<WebSocket>((client, mayType) =>
    client.send(mayType ? note.again : note.lost, { binary: true }),
  );
  readonly #forget: () => void;

  constructor(root: string, uid: string, log: Log, forget: () => void) {
    const { consoleSocket, consoleLog } = consolePaths(root, uid);
    this.#consoleLog = consoleLog;
    this.#log = log;
    this.#uid = uid;
    this.#forget = forget;
    this.#serial = connectToOwn(consoleSocket);
    this.#connected = new Promise((resolve, reject) => {
      this.#serial.once('connect', resolve).once('error', reject);
    });
    this.#serial.on('data', (data) => this.#forward(data));
    this.#serial.on('drain', () => {
      for (const client of this.#clients) if (!this.#early.has(client)) client.resume();
    });
    this.#serial.on('error', (error) => log.info('A console broke off', { uid, reason: messageOf(error) }));
    this.#serial.once('close', () => this.#close('The machine was turned off'));
  }

  add(client: WebSocket, readOnly: boolean): void {
    this.#clients.add(client);
    this.#early.set(client, []);
    client.on('error', (error) =>
      this.#log.info('A console client broke off', { uid: this.#uid, reason: error.message }),
    );
    client.once('close', () => this.#remove(client));
    // What is typed before the guest's side is open waits.
    client.pause();
    if (!readOnly) this.#sharing.join(client);
    client.on('message', (data: Buffer) => this.#type(client, data));
    this.#showPast(client).catch((error) => {
      this.#log.info('Cannot serve a console', { uid: this.#uid, reason: messageOf(error) });
      this.#end(client, 'The machine has no console here: is it running?');
    });
  }

  /** What is printed meanwhile comes after it, and may come twice: the log has it already. */
  async #showPast(client: WebSocket): Promise<void> {
    await this.#connected;
    client.send(await lastPrinted(this.#consoleLog, replayBytes), { binary: true });
    for (const data of this.#early.get(client) ?? []) client.send(data);
    this.#early.delete(client);
    client.resume();
  }

  #forward(data: Buffer): void {
    for (const client of this.#clients) {
      const early = this.#early.get(client);
      if (early) early.push(data);
      else client.send(data);
      const waiting = client.bufferedAmount + (early?.reduce((sum, { length }) => sum + length, 0) ?? 0);
      if (waiting <= maxBufferedBytes) continue;
      this.#remove(client);
      client.close(closeCode.tooSlow, 'The client reads too slowly');
    }
  }

  #type(client: WebSocket, data: Buffer): void {
    if (!this.#sharing.mayType(client) || !this.#serial.writable) return;
    this.#serial.write(data);
    if (this.#serial.writableLength > maxTypedBytes) client.pause();
  }

  #remove(client: WebSocket): void {
    this.#clients.delete(client);
    this.#early.delete(client);
    this.#sharing.leave(client);
    if (this.#clients.size > 0) return;
    // Whoever comes next needs a connection of its own: this one is about to end.
    this.#forget();
    this.#serial.destroy();
  }

  #close(why: string): void {
    this.#forget();
    for (const client of this.#clients) this.#end(client, why);
  }

  #end(client: WebSocket, why: string): void {
    // A paused client would not hear the answer to its close.
    client.resume();
    client.close(closeCode.noConsole, why);
  }
}
