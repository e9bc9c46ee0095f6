/** A viewer of a screen, as far as tests need one: RFB 3.8 (RFC 6143) without a password, pixels as they come. */
import type { Duplex } from 'node:stream';
import { systemClock } from '#lib/std/clock.ts';

export interface Rfb extends AsyncDisposable {
  readonly width: number;
  readonly height: number;
  /** Asks for all of the screen. */
  ask(): void;
  /** Presses and lets go of a key (X11 keysym). */
  key(keysym: number): void;
  /** The next update that has pixels: where of the screen, and 32 bits for each. */
  update(): Promise<{ readonly width: number; readonly height: number; readonly pixels: Buffer }>;
}

const waitMs = 10_000;

/** Throws if the other side does not speak RFB or wants a password. */
export async function openRfb(screen: Duplex): Promise<Rfb> {
  const read = reader(screen);
  const version = await read(12);
  if (!version.equals(Buffer.from('RFB 003.008\n'))) throw new Error(`This is no RFB: ${version}`);
  screen.write(version);
  const types = await read((await read(1))[0]!);
  if (!types.includes(1)) throw new Error(`The screen wants a password: ${types.toString('hex')}`);
  screen.write(Buffer.from([1]));
  if ((await read(4)).readUInt32BE() !== 0) throw new Error('The screen refuses');
  screen.write(Buffer.from([0])); // asks to be alone, as most viewers do
  const init = await read(24);
  const [width, height] = [init.readUInt16BE(0), init.readUInt16BE(2)];
  await read(init.readUInt32BE(20));
  const message = (bytes: number, fill: (buffer: Buffer) => void) => {
    const buffer = Buffer.alloc(bytes);
    fill(buffer);
    screen.write(buffer);
  };
  return {
    width,
    height,
    ask: () =>
      message(10, (buffer) => {
        buffer[0] = 3;
        buffer.writeUInt16BE(width, 6);
        buffer.writeUInt16BE(height, 8);
      }),
    key(keysym) {
      for (const down of [1, 0])
        message(8, (buffer) => {
          buffer[0] = 4;
          buffer[1] = down;
          buffer.writeUInt32BE(keysym, 4);
        });
    },
    async update() {
      const head = await read(16);
      const [at, encoding] = [[head.readUInt16BE(8), head.readUInt16BE(10)] as const, head.readInt32BE(12)];
      if (head[0] !== 0 || head.readUInt16BE(2) !== 1 || encoding !== 0)
        throw new Error(`An update of a form that this viewer did not ask for: ${head.toString('hex')}`);
      return { width: at[0], height: at[1], pixels: await read(at[0] * at[1] * 4) };
    },
    async [Symbol.asyncDispose]() {
      screen.destroy();
    },
  };
}

/** So many bytes, once they are there. */
function reader(screen: Duplex): (bytes: number) => Promise<Buffer> {
  let rest: Buffer = Buffer.alloc(0);
  let [more, wake] = [Promise.resolve(), () => {}];
  const wait = () => {
    ({ promise: more, resolve: wake } = Promise.withResolvers<void>());
  };
  wait();
  screen.on('data', (chunk: Buffer) => {
    rest = Buffer.concat([rest, chunk]);
    wake();
    wait();
  });
  return async (bytes) => {
    const late = Promise.withResolvers<never>();
    using _ = systemClock.timeout(
      () => late.reject(new Error(`${bytes} bytes did not come, ${rest.length} did`)),
      waitMs,
    );
    while (rest.length < bytes) await Promise.race([more, late.promise]);
    const found = rest.subarray(0, bytes);
    rest = rest.subarray(bytes);
    return found;
  };
}
