/**
 * One connection to libvirtd's unix socket: frames, serial numbers, deadlines, keepalive. A connection that ends stays ended; session.ts
 * makes the next one. A call that was under way when it ended may or may not have been done: callers look again.
 */
import { createConnection, type Socket } from 'node:net';
import type { Clock } from '#lib/std/clock.ts';
import { decodeError, keepalive, keepaliveProgram, messageType, protocolVersion, remoteProgram } from './protocol.ts';
import * as xdr from './xdr.ts';
import { XdrReader } from './xdr.ts';

/** VIR_NET_MESSAGE_MAX: libvirt's own bound on one message. */
const messageBytesMax = 32 * 1024 * 1024;
const headerBytes = 28;
const callsMax = 256;
const pingEveryMs = 5_000;
const silentMsMax = 20_000;

export interface ConnectionOptions {
  readonly socket: string;
  readonly clock: Clock;
  readonly onMessage: (procedure: number, body: XdrReader) => void;
}

export interface Connection {
  /** Rejects with a LibvirtError if refused, with another error if the deadline passes or the connection ends. */
  call(procedure: number, args: Buffer, deadlineMs: number): Promise<XdrReader>;
  /** Resolves with the reason when the connection has ended. */
  readonly closed: Promise<Error>;
  close(reason: Error): void;
}

interface PendingCall {
  resolve(body: XdrReader): void;
  reject(error: Error): void;
}

interface Header {
  readonly program: number;
  readonly procedure: number;
  readonly type: number;
  readonly serial: number;
  readonly failed: boolean;
}

/** Connects; rejects if the socket is not there or nobody listens. Neither authenticated nor open yet. */
export async function connect(options: ConnectionOptions): Promise<Connection> {
  const socket = createConnection(options.socket);
  await new Promise<void>((resolve, reject) => socket.once('connect', resolve).once('error', reject));
  return speak(socket, options);
}

function speak(socket: Socket, { clock, onMessage, socket: path }: ConnectionOptions): Connection {
  const pending = new Map<number, PendingCall>();
  const closed = Promise.withResolvers<Error>();
  let ended: Error | undefined;
  let serial = 0;
  let heardAt = clock.monotonic();
  let nextPing = clock.timeout(watchSilence, pingEveryMs);

  function close(reason: Error): void {
    if (ended) return;
    ended = reason;
    nextPing[Symbol.dispose]();
    socket.destroy();
    for (const call of pending.values()) call.reject(reason);
    pending.clear();
    closed.resolve(reason);
  }

  function receive(header: Header, body: XdrReader): void {
    if (header.program === keepaliveProgram) {
      if (header.procedure === keepalive.ping) socket.write(frame(keepaliveHeader(keepalive.pong), Buffer.alloc(0)));
      return;
    }
    if (header.type === messageType.message) onMessage(header.procedure, body);
    const call = pending.get(header.serial);
    // An answer that came after its deadline has nobody waiting.
    if (header.type !== messageType.reply || !call) return;
    // Read before it is taken off: one that cannot be read ends the connection, and with it this call too.
    const refusal = header.failed ? decodeError(body) : undefined;
    pending.delete(header.serial);
    if (refusal) call.reject(refusal);
    else call.resolve(body);
  }

  function watchSilence(): void {
    const silentMs = clock.monotonic() - heardAt;
    if (silentMs > silentMsMax) {
      close(new Error(`libvirtd at ${path} was silent for ${Math.round(silentMs)} ms`));
    } else {
      socket.write(frame(keepaliveHeader(keepalive.ping), Buffer.alloc(0)));
      nextPing = clock.timeout(watchSilence, pingEveryMs);
    }
  }

  socket.on(
    'data',
    splitFrames(receive, close, () => (heardAt = clock.monotonic())),
  );
  socket.on('error', (error) => close(new Error(`The connection to libvirtd at ${path} broke`, { cause: error })));
  socket.on('close', () => close(new Error(`libvirtd at ${path} closed the connection`)));

  function call(procedure: number, args: Buffer, deadlineMs: number): Promise<XdrReader> {
    if (ended) return Promise.reject(ended);
    if (pending.size >= callsMax) {
      return Promise.reject(new Error(`libvirtd at ${path} has ${pending.size} calls under way; try again later`));
    }
    serial += 1;
    const own = serial;
    return new Promise<XdrReader>((resolve, reject) => {
      const timer = clock.timeout(() => {
        pending.delete(own);
        reject(new Error(`libvirtd at ${path} did not answer call ${procedure} within ${deadlineMs} ms`));
      }, deadlineMs);
      const settled =
        <T>(settle: (value: T) => void) =>
        (value: T) => {
          timer[Symbol.dispose]();
          settle(value);
        };
      pending.set(own, { resolve: settled(resolve), reject: settled(reject) });
      socket.write(
        frame({ program: remoteProgram, procedure, type: messageType.call, serial: own, failed: false }, args),
      );
    });
  }

  return { call, closed: closed.promise, close };
}

function keepaliveHeader(procedure: number): Header {
  return { program: keepaliveProgram, procedure, type: messageType.message, serial: 0, failed: false };
}

function frame(header: Header, body: Buffer): Buffer {
  const { program, procedure, type, serial } = header;
  const words = [headerBytes + body.length, program, protocolVersion, procedure, type, serial, 0];
  return Buffer.concat([...words.map(xdr.uint32), body]);
}

/** Turns chunks into frames. A length that cannot be right ends the connection: there is no way to find the next frame. */
function splitFrames(
  receive: (header: Header, body: XdrReader) => void,
  close: (reason: Error) => void,
  heard: () => void,
): (chunk: Buffer) => void {
  let chunks: Buffer[] = [];
  let buffered = 0;
  return (chunk) => {
    heard();
    chunks.push(chunk);
    buffered += chunk.length;
    while (buffered >= 4) {
      // Large answers come in many chunks: joined only when the length is known to be there.
      if (chunks[0]!.length < 4) chunks = [Buffer.concat(chunks)];
      const length = chunks[0]!.readUInt32BE();
      if (length < headerBytes || length > messageBytesMax)
        return close(new Error(`libvirtd sent a message of ${length} bytes`));
      if (buffered < length) return;
      const data = Buffer.concat(chunks);
      chunks = [data.subarray(length)];
      buffered -= length;
      try {
        receive(...parse(data.subarray(4, length)));
      } catch (error) {
        return close(new Error('libvirtd sent a message that cannot be read', { cause: error }));
      }
    }
  };
}

function parse(data: Buffer): [Header, XdrReader] {
  const reader = new XdrReader(data);
  const program = reader.uint32();
  reader.uint32(); // version: one exists
  const [procedure, type, serial, status] = [reader.uint32(), reader.uint32(), reader.uint32(), reader.uint32()];
  return [{ program, procedure, type, serial, failed: status !== 0 }, reader];
}
