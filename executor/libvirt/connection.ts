/**
 * One connection to libvirtd's unix socket: frames, serial numbers, deadlines, keepalive. A connection that ends stays ended; session.ts
 * makes the next one. A call that was under way when it ended may or may not have been done: callers look again.
 */
import { createConnection, type Socket } from 'node:net';
import type { Clock } from '#lib/std/clock.ts';
import {
  decodeError,
  keepalive,
  keepaliveProgram,
  messageStatus,
  messageType,
  protocolVersion,
  remoteProgram,
} from './protocol.ts';
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
  call(procedure: number, args: Buffer, deadlineMs: number, program?: number): Promise<XdrReader>;
  /** A call whose answer has a stream behind it: resolves with all of that. Rejects as `call` does, and if it is longer than `most`. */
  download(procedure: number, args: Buffer, deadlineMs: number, most: number): Promise<Buffer>;
  /** Resolves with the reason when the connection has ended. */
  readonly closed: Promise<Error>;
  close(reason: Error): void;
}

interface PendingCall {
  resolve(body: XdrReader): void;
  reject(error: Error): void;
  /** The answer is only its beginning. */
  readonly stream?: Incoming;
}

/** What has come of a stream. */
interface Incoming {
  readonly chunks: Buffer[];
  bytes: number;
  readonly most: number;
}

interface Header {
  readonly program: number;
  readonly procedure: number;
  readonly type: number;
  readonly serial: number;
  readonly status: number;
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
    if (!call || (header.type !== messageType.reply && header.type !== messageType.stream)) return;
    // Read before it is taken off: one that cannot be read ends the connection, and with it this call too.
    const refusal = header.status === messageStatus.error ? decodeError(body) : undefined;
    if (!refusal && call.stream && goesOn(header, body, call.stream)) return;
    pending.delete(header.serial);
    if (refusal) call.reject(refusal);
    else call.resolve(body);
  }

  /** Takes what has come of a stream. libvirtd says by an empty message that this was all, and waits to hear the same before it says so again. */
  function goesOn(header: Header, body: XdrReader, stream: Incoming): boolean {
    if (header.type === messageType.reply) return true;
    if (header.status !== messageStatus.continue) return false;
    const chunk = body.rest();
    stream.bytes += chunk.length;
    if (stream.bytes > stream.most) {
      const error = new Error(`libvirtd at ${path} sends more than ${stream.most} bytes`);
      pending.get(header.serial)?.reject(error);
      giveUp(header);
    } else if (chunk.length === 0) {
      socket.write(frame({ ...header, status: messageStatus.ok }, Buffer.alloc(0)));
    } else {
      stream.chunks.push(chunk);
    }
    return true;
  }

  /** Has libvirtd end a stream; what is still on its way belongs to nobody. */
  function giveUp(header: Header): void {
    pending.delete(header.serial);
    const how = { type: messageType.stream, status: messageStatus.error };
    if (!ended) socket.write(frame({ ...header, ...how }, Buffer.alloc(0)));
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

  function call(procedure: number, args: Buffer, deadlineMs: number, program = remoteProgram): Promise<XdrReader> {
    return ask({ program, procedure }, args, deadlineMs);
  }

  async function download(procedure: number, args: Buffer, deadlineMs: number, most: number): Promise<Buffer> {
    const stream: Incoming = { chunks: [], bytes: 0, most };
    await ask({ program: remoteProgram, procedure }, args, deadlineMs, stream);
    return Buffer.concat(stream.chunks);
  }

  function ask(
    what: Pick<Header, 'program' | 'procedure'>,
    args: Buffer,
    deadlineMs: number,
    stream?: Incoming,
  ): Promise<XdrReader> {
    if (ended) return Promise.reject(ended);
    if (pending.size >= callsMax) {
      return Promise.reject(new Error(`libvirtd at ${path} has ${pending.size} calls under way; try again later`));
    }
    serial += 1;
    const header: Header = { ...what, type: messageType.call, serial, status: messageStatus.ok };
    return new Promise<XdrReader>((resolve, reject) => {
      const timer = clock.timeout(() => {
        if (stream) giveUp(header);
        pending.delete(header.serial);
        reject(new Error(`libvirtd at ${path} did not answer call ${what.procedure} within ${deadlineMs} ms`));
      }, deadlineMs);
      const settled =
        <T>(settle: (value: T) => void) =>
        (value: T) => {
          timer[Symbol.dispose]();
          settle(value);
        };
      pending.set(serial, { resolve: settled(resolve), reject: settled(reject), ...(stream ? { stream } : {}) });
      socket.write(frame(header, args));
    });
  }

  return { call, download, closed: closed.promise, close };
}

function keepaliveHeader(procedure: number): Header {
  return { program: keepaliveProgram, procedure, type: messageType.message, serial: 0, status: messageStatus.ok };
}

function frame(header: Header, body: Buffer): Buffer {
  const { program, procedure, type, serial, status } = header;
  const words = [headerBytes + body.length, program, protocolVersion, procedure, type, serial, status];
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
  return [{ program, procedure, type, serial, status }, reader];
}
