/**
 * A connection to libvirtd that comes back. Events are asked for on every connection; after one was lost and made anew, `onRestored`
 * says that anything may have happened meanwhile. Survives libvirtd being killed: QEMU goes on without it.
 */
import { type BackoffOptions, backoffMs } from '#lib/std/backoff.ts';
import type { Clock } from '#lib/std/clock.ts';
import type { Random } from '#lib/std/random.ts';
import { type Connection, connect } from './connection.ts';
import { eventId, featureKeepalive, procedure, remoteProgram } from './protocol.ts';
import type { XdrReader } from './xdr.ts';
import * as xdr from './xdr.ts';

const reconnect: BackoffOptions = { firstMs: 50, maxMs: 5_000 };
const openDeadlineMs = 30_000;
/** How long a call waits for a connection that is being made anew. */
const connectionWaitMs = 15_000;

export interface SessionOptions {
  readonly socket: string;
  readonly uri: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly onMessage: (procedure: number, body: XdrReader) => void;
  readonly onRestored: () => void;
}

export interface Session extends AsyncDisposable {
  call(procedure: number, args?: Buffer, deadlineMs?: number, program?: number): Promise<XdrReader>;
  download(procedure: number, args: Buffer, deadlineMs: number, most: number): Promise<Buffer>;
}

export function openSession(options: SessionOptions): Session {
  const { clock, random } = options;
  const stop = new AbortController();
  let ready = Promise.withResolvers<Connection>();
  let current: Connection | undefined;
  let lastFailure: unknown;

  async function keepConnected(): Promise<void> {
    let [failures, before] = [0, false];
    while (!stop.signal.aborted) {
      try {
        const connection = await establish(options);
        current = connection;
        // Disposed while connecting: nobody else would close it.
        if (stop.signal.aborted) return connection.close(new Error('The driver was closed'));
        failures = 0;
        ready.resolve(connection);
        if (before) options.onRestored();
        before = true;
        lastFailure = await connection.closed;
        ready = Promise.withResolvers<Connection>();
      } catch (error) {
        failures += 1;
        lastFailure = error;
        await clock.sleep(backoffMs(failures, reconnect, random), stop.signal).catch(() => undefined); // stopped: the loop sees it
      }
    }
  }

  async function connection(): Promise<Connection> {
    stop.signal.throwIfAborted();
    const late = Promise.withResolvers<never>();
    using _timer = clock.timeout(() => {
      const message = `Cannot reach libvirtd at ${options.socket}; is it running (systemctl status libvirtd)?`;
      late.reject(new Error(message, { cause: lastFailure }));
    }, connectionWaitMs);
    return await Promise.race([ready.promise, late.promise]);
  }

  const loop = keepConnected();
  return {
    async call(number, args = Buffer.alloc(0), deadlineMs = 15_000, program = remoteProgram) {
      return (await connection()).call(number, args, deadlineMs, program);
    },
    async download(number, args, deadlineMs, most) {
      return await (await connection()).download(number, args, deadlineMs, most);
    },
    async [Symbol.asyncDispose]() {
      const reason = new Error('The driver was closed');
      stop.abort(reason);
      current?.close(reason);
      await loop;
    },
  };
}

/** Connects, authenticates, opens the driver, asks for events. */
async function establish(options: SessionOptions): Promise<Connection> {
  const connection = await connect(options);
  try {
    const call = (number: number, ...args: Buffer[]) => connection.call(number, Buffer.concat(args), openDeadlineMs);
    await requireNoAuthentication(call, options.socket);
    // From now on libvirtd pings too; whoever is silent for too long is taken for dead by the other.
    await call(procedure.connectSupportsFeature, xdr.int32(featureKeepalive));
    await call(procedure.connectOpen, xdr.optional(options.uri, xdr.string), xdr.uint32(0));
    for (const event of Object.values(eventId)) {
      await call(procedure.domainEventCallbackRegisterAny, xdr.int32(event), xdr.uint32(0));
    }
    return connection;
  } catch (error) {
    connection.close(new Error('Could not open a session with libvirtd', { cause: error }));
    throw error;
  }
}

type Call = (number: number, ...args: Buffer[]) => Promise<XdrReader>;

/** libvirtd asks nothing of root on its own socket. */
async function requireNoAuthentication(call: Call, socket: string): Promise<void> {
  const answer = await call(procedure.authList);
  const kinds = answer.list(() => answer.int32(), 20);
  if (kinds.every((kind) => kind === 0)) return;
  throw new Error(
    `libvirtd at ${socket} wants this user to authenticate; run the executor as root or set auth_unix_rw = "none" in libvirtd.conf`,
  );
}
