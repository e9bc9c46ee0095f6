/**
 * P2: 1,000 updates of one resource (200 where there are 1,000 clients), written straight into etcd, to W clients of the API server, each on
 * a connection of its own, against one raw etcd watch for each of W clients. Counted are deliveries per second until the last client has
 * the last update; the delay of one delivery is from the end of its write to its receipt by one of the clients. One more client of the API
 * server never reads.
 */
import { connect, type TLSSocket } from 'node:tls';
import { VirtualMachine } from '#lib/api/generated/index.ts';
import { systemClock } from '#lib/std/clock.ts';
import { compare, percentile, ratioInWords } from './compare.ts';
import { machineKey, storedMachine } from './machine-object.ts';
import { type RawEtcd, rawEtcd, together } from './raw-etcd.ts';
import { type BenchServer, startBenchServer } from './server.ts';

const maxUpdates = 1_000;
const maxDeliveries = 200_000;
const objects = 100;
const sizes = [1, 10, 100, 1_000];
const pairs = 3;
const deadlineMs = 120_000;

/** Ends when the client has received the update that it is told of last. */
interface Audience extends Disposable {
  readonly all: Promise<unknown>;
  /** Milliseconds on systemClock.monotonic when each update reached the first client. */
  readonly receipts: Map<string, number>;
}

export async function watchFanout(): Promise<readonly string[]> {
  await using server = await startBenchServer();
  using etcd = rawEtcd(server.etcd);
  const lines: string[] = [];
  for (const watchers of sizes) {
    const delays: number[] = [];
    const ours = () => measure(etcd, watchers, (last) => apiAudience(server, watchers, last), delays);
    const baseline = () => measure(etcd, watchers, (last) => rawAudience(server.etcd, watchers, last));
    const comparison = await compare(pairs, ours, baseline);
    lines.push(
      `P2 watchers=${watchers} ${ratioInWords(comparison)} p99ms=${percentile(delays, 0.99).toFixed(0)}${watchers === 100 ? ' floor=0.5 goal=2.0' : ''}`,
    );
  }
  return lines;
}

let runs = 0;

/** Deliveries per second. */
async function measure(
  etcd: RawEtcd,
  watchers: number,
  gather: (last: string) => Promise<Audience>,
  delays: number[] = [],
): Promise<number> {
  runs += 1;
  const updates = Math.min(maxUpdates, maxDeliveries / watchers);
  const notes = Array.from({ length: updates }, (_, index) => `run-${runs}-update-${index}-`);
  const last = `run-${runs}-last-`;
  using audience = await gather(last);
  const put = (note: string, index: number) => {
    const name = `vm-${index % objects}`;
    return etcd.client.put(machineKey(name)).value(storedMachine(name, note));
  };
  const written = new Map<string, number>();
  const started = systemClock.monotonic();
  await together([...notes.entries()], async ([index, note]) => {
    await put(note, index);
    written.set(note, systemClock.monotonic());
  });
  await put(last, 0);
  await audience.all;
  const seconds = (systemClock.monotonic() - started) / 1000;
  for (const note of notes) {
    const received = audience.receipts.get(note);
    if (received === undefined) throw new Error(`The first client has not received ${note}`);
    delays.push(received - written.get(note)!);
  }
  return ((updates + 1) * watchers) / seconds;
}

/** Notes the time of every update in a piece of a stream. */
function noteReceipts(receipts: Map<string, number>, text: string): void {
  const now = systemClock.monotonic();
  for (const [note] of text.matchAll(/run-\d+-update-\d+-/g)) if (!receipts.has(note)) receipts.set(note, now);
}

async function apiAudience(server: BenchServer, watchers: number, last: string): Promise<Audience> {
  const stack = new DisposableStack();
  const receipts = new Map<string, number>();
  const { resourceVersion: from } = await server.client.list(VirtualMachine, { namespace: 'default' });
  const sockets = await Promise.all(
    Array.from({ length: watchers + 1 }, async () => {
      const socket = await openWatch(server, from);
      stack.adopt(socket, (open) => open.destroy());
      return socket;
    }),
  );
  sockets.pop()!.pause();
  const all = sockets.map((socket, index) => finished(socket, last, index === 0 ? receipts : undefined));
  return { all: within(Promise.all(all)), receipts, [Symbol.dispose]: () => stack.dispose() };
}

/** Resolves when the headers of the answer are here, so that the watch is on. */
async function openWatch({ admin }: BenchServer, from: string): Promise<TLSSocket> {
  const socket = connect({ host: '127.0.0.1', port: admin.port, ca: admin.ca, ALPNProtocols: ['http/1.1'] });
  const path = '/apis/computefactory.io/v1alpha1/namespaces/default/virtualmachines';
  socket.write(
    `GET ${path}?watch=true&resourceVersion=${from} HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer ${admin.token}\r\n\r\n`,
  );
  await new Promise<void>((resolve, reject) => {
    socket.on('error', reject);
    socket.once('data', (head: Buffer) =>
      head.toString('latin1').startsWith('HTTP/1.1 200') ? resolve() : reject(new Error(head.toString('latin1'))),
    );
  });
  return socket;
}

/** Resolves when `last` has come. Whole chunks are searched as bytes: parsing is what a real client adds, to either side. */
function finished(socket: TLSSocket, last: string, receipts: Map<string, number> | undefined): Promise<void> {
  let rest = Buffer.alloc(0);
  return new Promise((resolve, reject) => {
    socket.on('close', () => reject(new Error('A watch ended early')));
    socket.on('data', (chunk: Buffer) => {
      const text = Buffer.concat([rest, chunk]);
      rest = text.subarray(-40);
      if (receipts) noteReceipts(receipts, text.toString('latin1'));
      if (text.includes(last)) resolve();
    });
  });
}

async function rawAudience(endpoint: string, watchers: number, last: string): Promise<Audience> {
  const stack = new DisposableStack();
  const receipts = new Map<string, number>();
  const opened = await Promise.all(
    Array.from({ length: watchers }, async (_, index) => {
      const etcd = stack.use(rawEtcd(endpoint));
      const watcher = await etcd.client.watch().prefix(machineKey('')).create();
      const done = Promise.withResolvers<void>();
      watcher.on('put', ({ value }) => {
        if (index === 0) noteReceipts(receipts, value.toString('latin1'));
        if (value.includes(last)) done.resolve();
      });
      return done;
    }),
  );
  const all = Promise.all(opened.map(({ promise }) => promise));
  return { all: within(all), receipts, [Symbol.dispose]: () => stack.dispose() };
}

async function within<T>(work: Promise<T>): Promise<T> {
  const late = systemClock.sleep(deadlineMs).then(() => {
    throw new Error(`Not all clients had the last update after ${deadlineMs / 1000} s`);
  });
  return await Promise.race([work, late]);
}
