import { expect, test } from 'vitest';
import { createOpener, seal } from './sealed-box.ts';

const text = 'p\u00e4ssword \u{1f511}';

test('what is sealed opens for its reader, and looks different each time', () => {
  const reader = createOpener();
  const [first, second] = [seal(text, reader.publicKey, 'a'), seal(text, reader.publicKey, 'a')];
  expect(reader.open(first, 'a')).toBe(text);
  expect(first).not.toBe(second);
  expect(reader.open(seal('', reader.publicKey, 'a'), 'a')).toBe('');
});

test('it does not open for another reader, in another context, or with any byte changed', () => {
  const [reader, other] = [createOpener(), createOpener()];
  const sealed = seal(text, reader.publicKey, 'seed/1');
  expect(() => other.open(sealed, 'seed/1')).toThrow('another key or context');
  expect(() => reader.open(sealed, 'seed/2')).toThrow('another key or context');
  const bytes = Buffer.from(sealed, 'base64');
  for (let index = 0; index < bytes.length; index++) {
    // The highest bit of an X25519 key is not part of it, but the key that is derived depends on all of its text.
    const changed = Buffer.from(bytes);
    changed[index]! ^= index === 31 ? 0x80 : 1;
    expect(() => reader.open(changed.toString('base64'), 'seed/1')).toThrow();
  }
  expect(() => reader.open('AAAA', 'seed/1')).toThrow('too short');
});

test.each(['', 'AAAA', Buffer.alloc(32).toString('base64url')])('%j is no key to seal for', (key) => {
  expect(() => seal(text, key, 'a')).toThrow();
});
