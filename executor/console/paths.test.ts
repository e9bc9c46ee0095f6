import { randomUUID } from 'node:crypto';
import { expect, test } from 'vitest';
import { hostPaths } from '#cli/pretend-host/configuration.ts';
import { consolePaths } from './paths.ts';

test('where a pretended host has room for its socket, its machines nearly have too: 59 bytes for the cluster’s directory', () => {
  const dir = `/${'d'.repeat(58)}`;
  expect(() => hostPaths(`${dir}/hosts/metal-0/machine`)).not.toThrow();
  const { consoleSocket } = consolePaths(`${dir}/hosts/metal-0/executor`, randomUUID());
  expect(Buffer.byteLength(consoleSocket)).toBeLessThanOrEqual(107);
});

test('every machine has a socket of its own, the same one each time', () => {
  const [one, other] = [randomUUID(), randomUUID()];
  expect(consolePaths('/r', one)).toEqual(consolePaths('/r', one));
  expect(consolePaths('/r', one).consoleSocket).not.toBe(consolePaths('/r', other).consoleSocket);
});
