/** What holds for hosts that move a machine between them, whatever carries their words: the network, or the memory of one process. */
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { mkdtempDisposable } from 'node:fs/promises';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { expect, test, vi } from 'vitest';
import { migrationToken } from '#lib/api/host-endpoint.ts';
import { systemClock } from '#lib/std/clock.ts';
import { silentLog } from '#lib/std/log.ts';
import type { ConsoleEndpoint } from '../console/server.ts';
import { MachineError, type MoveSockets } from '../hypervisor.ts';
import type { MigrationEvent } from '../machine/state.ts';
import { Arrivals, type ArrivalsDeps } from './arrivals.ts';
import type { MigrationOutcome, MigrationPeer, MigrationPeers, MigrationTarget } from './peers.ts';

export interface PeersUnderTest extends AsyncDisposable {
  /** Of the source. */
  readonly peers: MigrationPeers;
  /** Of the destination. */
  readonly endpoint: ConsoleEndpoint;
}

/** `roots` are directories of the source and of the destination. */
export type OpenPeers = (
  arrivals: Arrivals,
  roots: { readonly source: string; readonly destination: string },
) => Promise<PeersUnderTest>;

const signal = new AbortController().signal;
const until = async (check: () => unknown): Promise<void> =>
  void (await vi.waitFor(check, { timeout: 5_000, interval: 5 }));

/** A destination whose machine does as it is told, and echoes what comes through tunnels. */
class Destination implements AsyncDisposable {
  readonly asked: MigrationEvent[] = [];
  readonly sockets: Socket[] = [];
  readonly uid = randomUUID();
  readonly id = randomUUID();
  readonly #servers: Server[] = [];
  readonly #decided = Promise.withResolvers<void>();
  outcome: MigrationOutcome = 'Receiving';
  answer: (event: MigrationEvent) => Promise<string> = async ({ type }) => `${type} done`;

  readonly machines: ReturnType<ArrivalsDeps['machines']> = {
    ask: async (_, event) => {
      this.asked.push(event);
      if (event.type === 'receive') await this.#listen(event.sockets);
      return await this.answer(event);
    },
    tell: (_, event) => void this.asked.push(event),
    outcomeOf: (uid, id) => (uid === this.uid && id === this.id ? this.outcome : undefined),
    decided: async (_, over) => {
      await Promise.race([this.#decided.promise, once(over, 'abort')]);
    },
  };

  decide(outcome: MigrationOutcome): void {
    this.outcome = outcome;
    this.#decided.resolve();
  }

  async #listen({ memory, disks }: MoveSockets): Promise<void> {
    for (const path of [memory, disks]) {
      const server = createServer({ allowHalfOpen: true }, (socket) => {
        this.sockets.push(socket);
        socket.on('error', () => undefined);
        socket.pipe(socket);
      });
      this.#servers.push(server.listen(path));
      await once(server, 'listening');
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.sockets) socket.destroy();
    for (const server of this.#servers) server.close();
  }
}

export function describePeers(open: OpenPeers, place: (root: string) => MigrationPeers['place']): void {
  async function opened() {
    await using stack = new AsyncDisposableStack();
    const { path } = stack.use(await mkdtempDisposable(join(tmpdir(), 'cf-')));
    const roots = { source: join(path, 'one'), destination: join(path, 'two') };
    const there = stack.use(new Destination());
    const { machines, uid, id } = there;
    const arrivals = new Arrivals({
      ...{ machines: () => machines, peers: { place: place(roots.destination) }, clock: systemClock, log: silentLog },
    });
    const { peers, endpoint } = stack.use(await open(arrivals, roots));
    stack.use(arrivals);
    const target = { ...endpoint, token: migrationToken(endpoint.token, uid, id), uid, id };
    const peer = (changes: Partial<MigrationTarget> = {}): MigrationPeer => peers.open({ ...target, ...changes });
    const kept = stack.move();
    const left = (root: string) => readdirSync(join(root, 'moves'));
    return { there, peers, peer, roots, left, endpoint, [Symbol.asyncDispose]: async () => await kept.disposeAsync() };
  }

  test('what one side says the other gets as it is, however much it is', async () => {
    await using world = await opened();
    const { there } = world;
    const words = 'ä'.repeat(1_000_000);
    there.answer = async (event) => (event.type === 'receive' ? `${event.begun}!` : 'described');
    expect(await world.peer().describe(signal)).toBe('described');
    expect(await world.peer().prepare(words, signal)).toBe(`${words}!`);
    expect(await world.peer().outcome(signal)).toBe('Receiving');
    there.answer = async () => {
      there.decide('Taken');
      return '';
    };
    expect(await world.peer().finish('sent', signal)).toBe('Taken');
    // Asked again it is not done again.
    expect(await world.peer().finish('sent', signal)).toBe('Taken');
    await world.peer().refuse('Nobody wants it', signal);
    expect(there.asked.map(({ type }) => type)).toEqual(['describe', 'receive', 'finish', 'refuse']);
    expect(there.asked.at(-1)).toMatchObject({ message: 'Nobody wants it', id: there.id });
  });

  test('what is refused is told as it is, and what fails as a failure', async () => {
    await using world = await opened();
    world.there.answer = () => Promise.reject(new MachineError('The disks have another size'));
    await expect(world.peer().describe(signal)).rejects.toThrow(new MachineError('The disks have another size'));
    await expect(world.peer().prepare('b', signal)).rejects.toThrow(MachineError);
    world.there.answer = () => Promise.reject(new Error('libvirt: no'));
    const failed = await world
      .peer()
      .describe(signal)
      .catch((error: unknown) => error);
    expect(failed).toBeInstanceOf(Error);
    expect(failed).not.toBeInstanceOf(MachineError);
    // Nothing of what it had made for that is left.
    expect(world.left(world.roots.destination)).toEqual([]);
  });

  test('a token opens one migration of one machine', async () => {
    await using world = await opened();
    const { there, endpoint } = world;
    const token = migrationToken(endpoint.token, there.uid, randomUUID());
    for (const changes of [{ token }, { uid: randomUUID() }, { id: randomUUID() }, { token: endpoint.token }]) {
      await expect(world.peer(changes).outcome(signal), JSON.stringify(changes)).rejects.toThrow();
      await expect(world.peer(changes).tunnel('memory', signal)).rejects.toThrow();
    }
    const [uid, id] = [there.uid, randomUUID()];
    const unknown = world.peer({ id, token: migrationToken(endpoint.token, uid, id) });
    await expect(unknown.outcome(signal)).rejects.toThrow(/No machine .* comes to this host/);
    expect(there.asked).toEqual([]);
  });

  test('bytes go through tunnels both ways, no faster than they are taken, and an end is handed on', async () => {
    await using world = await opened();
    const { there, peers } = world;
    await expect(world.peer().tunnel('memory', signal)).rejects.toThrow();
    await world.peer().prepare('b', signal);
    await using source = await peers.place();
    await source.leadTo(world.peer(), signal);
    const bytes = 'x'.repeat(3_000_000);
    const echoed = async (path: string): Promise<string> => {
      const socket = connect({ path, allowHalfOpen: true });
      socket.end(bytes);
      return await text(socket);
    };
    const all = await Promise.all([source.memory, source.disks, source.disks].map(echoed));
    expect(all.map((each) => each === bytes)).toEqual([true, true, true]);
    await until(() => expect(there.sockets.every(({ destroyed }) => destroyed)).toBe(true));
    // Who does not read is not sent without end.
    const socket = connect(source.memory);
    await until(() => expect(there.sockets).toHaveLength(4));
    there.sockets[3]!.unpipe().pause();
    const chunk = Buffer.alloc(1024 * 1024);
    let written = 0;
    while (written < 200 && (socket.write(chunk) || (await drained(socket)))) written += 1;
    expect(written).toBeLessThan(200);
    socket.destroy();
  });

  test('when it is decided nothing of its tunnels stays, nor when the source stops', async () => {
    await using world = await opened();
    const { there, peers } = world;
    await world.peer().prepare('b', signal);
    const stop = new AbortController();
    await using source = await peers.place();
    await source.leadTo(world.peer(), stop.signal);
    const [first, second] = [connect(source.memory), connect(source.disks)];
    for (const socket of [first, second]) socket.on('error', () => undefined).resume();
    await until(() => expect(there.sockets).toHaveLength(2));
    const closed = Promise.all([once(first, 'close'), once(second, 'close')]);
    there.decide('Refused');
    await closed;
    await until(() => expect(world.left(world.roots.destination)).toEqual([]));
    await expect(world.peer().tunnel('memory', signal)).rejects.toThrow();
    await source[Symbol.asyncDispose]();
    expect(world.left(world.roots.source)).toEqual([]);
    stop.abort(new Error('It stops'));
    await using late = await peers.place();
    await expect(late.leadTo(world.peer(), stop.signal)).rejects.toThrow('It stops');
  });

  test('a second source finds that it was begun', async () => {
    await using world = await opened();
    await world.peer().prepare('b', signal);
    await expect(world.peer().prepare('b', signal)).rejects.toThrow('It was begun already');
  });
}

/** False if it is not within a moment. */
async function drained(socket: Socket): Promise<boolean> {
  return await once(socket, 'drain', { signal: AbortSignal.timeout(300) }).then(
    () => true,
    () => false,
  );
}
