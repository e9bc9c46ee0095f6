import { expect, test } from 'vitest';
import { rfbInput } from './rfb-input.ts';

const bytes = (...values: readonly number[]) => Buffer.from(values);
const zeros = (count: number) => Array.from({ length: count }, () => 0);
const greeting = Buffer.concat([Buffer.from('RFB 003.008\n'), bytes(1), bytes(1)]);

/** Every message that there is, and whether the guest feels it. */
const messages: readonly (readonly [string, Buffer, boolean])[] = [
  ['pixel format', bytes(0, ...zeros(19)), false],
  ['encodings', bytes(2, 0, 0, 2, ...zeros(8)), false],
  ['update request', bytes(3, ...zeros(9)), false],
  ['key', bytes(4, 1, ...zeros(6)), true],
  ['pointer', bytes(5, 0, ...zeros(4)), true],
  ['clipboard', bytes(6, 0, 0, 0, 0, 0, 0, 3, 97, 98, 99), true],
  ['extended clipboard', bytes(6, 0, 0, 0, 0xff, 0xff, 0xff, 0xfc, 1, 2, 3, 4), true],
  ['continuous updates', bytes(150, ...zeros(9)), false],
  ['fence', bytes(248, ...zeros(7), 2, 7, 7), false],
  ['power', bytes(250, 0, 1, 2), true],
  ['size of the desktop', bytes(251, ...zeros(5), 1, ...zeros(17)), true],
  ['scan code', bytes(255, 0, ...zeros(10)), true],
  ['sound on', bytes(255, 1, 0, 0), false],
  ['form of the sound', bytes(255, 1, 0, 2, ...zeros(6)), false],
];

test('messages are found whole, however they are cut, and nothing is lost', () => {
  const all = Buffer.concat([greeting, ...messages.map(([, each]) => each)]);
  for (const size of [1, 3, 7, all.length]) {
    const input = rfbInput();
    const found = [];
    for (let at = 0; at < all.length; at += size) found.push(...input(all.subarray(at, at + size)));
    expect(found.slice(3).map((each) => [each.bytes.toString('hex'), each.acts])).toEqual(
      messages.map(([, each, acts]) => [each.toString('hex'), acts]),
    );
    expect(Buffer.concat(found.map((each) => each.bytes))).toEqual(all);
  }
});

test('a client before 3.7 chooses no security', () => {
  const found = rfbInput()(Buffer.concat([Buffer.from('RFB 003.003\n'), bytes(1), bytes(4, 1, ...zeros(6))]));
  expect(found.map(({ type }) => type)).toEqual(['version', 'init', 4]);
});

test.each([
  ['no RFB', Buffer.from('GET / HTTP/1.1\r\n')],
  ['an unknown message', Buffer.concat([greeting, bytes(7, 0, 0, 0)])],
  ['an unknown message of QEMU', Buffer.concat([greeting, bytes(255, 9, 0, 0)])],
  ['more clipboard than QEMU takes', Buffer.concat([greeting, bytes(6, 0, 0, 0, 0x7f, 0, 0, 0)])],
])('%s is refused', (_, sent) => {
  expect(() => rfbInput()(sent)).toThrow('a client');
});
