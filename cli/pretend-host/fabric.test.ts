import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { promisify } from 'node:util';
import { describe, expect, test } from 'vitest';
import { systemClock } from '#lib/std/clock.ts';
import { whyNot } from '#test/requires.ts';
import { plugIn, removeFabric, wireAddress } from './fabric.ts';
import { makeNamespace, removeNamespace } from './namespace.ts';

const run = promisify(execFile);

test('wireAddress gives every host one of its own, none beyond the range', () => {
  expect([1, 256, 65533].map(wireAddress)).toEqual(['198.18.0.1', '198.18.1.0', '198.18.255.253']);
  for (const number of [0, 65534, 1.5, Number.NaN]) expect(() => wireAddress(number)).toThrow('1 to 65533');
});

/** A fabric and bare hosts, all removed at the end. */
function openFabric() {
  const name = `cft-${randomBytes(4).toString('hex')}`;
  const fabric = `${name}-f`;
  const stack = new AsyncDisposableStack();
  stack.defer(() => removeFabric(fabric));
  return {
    fabric,
    async boot(number: number): Promise<string> {
      const netns = `${name}-${number}`;
      await removeNamespace(netns, systemClock);
      await makeNamespace(netns);
      stack.defer(() => removeNamespace(netns, systemClock));
      await plugIn(netns, { fabric, number });
      return netns;
    },
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}

const reaches = (netns: string, number: number, ...flags: readonly string[]) =>
  run('ip', ['netns', 'exec', netns, 'ping', '-c', '1', '-W', '2', ...flags, wireAddress(number)]).then(
    () => true,
    () => false,
  );

/** The kernel takes a moment until a new link carries, and one more until it has given up asking for who was not there: pings are lost meanwhile. */
const meets = (netns: string, number: number, ...flags: readonly string[]) =>
  expect.poll(() => reaches(netns, number, ...flags), { timeout: 15_000 }).toBe(true);

describe.skipIf(whyNot(['ip', 'flock', 'ping'], { root: true }) !== undefined)('the wire', { timeout: 60_000 }, () => {
  test('joins hosts that start at once, takes the largest frames, and joins one that boots again', async () => {
    await using fabric = openFabric();
    const [first, second] = await Promise.all([fabric.boot(1), fabric.boot(2), fabric.boot(3)]);
    await meets(first, 2, '-M', 'do', '-s', '9238');
    for (let boots = 0; boots < 5; boots++) await fabric.boot(2);
    await meets(first, 2);
    await meets(second, 3);
  });

  test('of another fabric is not met, has the same addresses, and goes without a trace', async () => {
    await using one = openFabric();
    const first = await one.boot(1);
    {
      await using other = openFabric();
      const stranger = await other.boot(1);
      await other.boot(2);
      await meets(stranger, 2);
      expect(await reaches(first, 2)).toBe(false);
      await removeFabric(other.fabric);
      await removeFabric(other.fabric);
      expect(existsSync(`/run/netns/${other.fabric}`)).toBe(false);
      // The kernel clears a namespace away when it finds the time.
      await expect.poll(() => reaches(stranger, 2), { timeout: 15_000 }).toBe(false);
    }
    await one.boot(2);
    await meets(first, 2);
  });
});
