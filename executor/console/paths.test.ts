import { randomUUID } from 'node:crypto';
import { expect, test } from 'vitest';
import { consolePaths } from './paths.ts';

test('leaves 86 of the 107 bytes of a socket’s path to whoever chooses the root', () => {
  const { consoleSocket } = consolePaths(`/${'d'.repeat(85)}`, randomUUID());
  expect(Buffer.byteLength(consoleSocket)).toBe(107);
});

test('every machine has a socket of its own, the same one each time', () => {
  const [one, other] = [randomUUID(), randomUUID()];
  expect(consolePaths('/r', one)).toEqual(consolePaths('/r', one));
  expect(consolePaths('/r', one).consoleSocket).not.toBe(consolePaths('/r', other).consoleSocket);
});
