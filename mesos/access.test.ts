import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { UsageError } from '#lib/std/main.ts';
import { mesosAccess } from './access.ts';

const directory = mkdtempSync(join(tmpdir(), 'mesos-access-'));
afterAll(() => rmSync(directory, { recursive: true }));

function file(name: string, content: string): string {
  writeFileSync(join(directory, name), content);
  return join(directory, name);
}

test('mesosAccess without flags is nothing', () => {
  expect(mesosAccess({})).toEqual({});
});

test('mesosAccess reads a secret anew when it was refused', async () => {
  const secret = file('secret', 'old\n');
  const { principal, authentication } = mesosAccess({ 'mesos-principal': 'cf', 'mesos-secret-file': secret });
  expect(principal).toBe('cf');
  const old = await authentication!.header();
  expect(old).toBe(`Basic ${btoa('cf:old')}`);
  expect(await authentication!.renewed(old)).toBe(false);
  file('secret', 'new');
  expect(await authentication!.header()).toBe(old);
  expect(await authentication!.renewed(old)).toBe(true);
  expect(await authentication!.header()).toBe(`Basic ${btoa('cf:new')}`);
  // Another call was refused with the old one too: it is renewed already.
  expect(await authentication!.renewed(old)).toBe(true);
});

test('mesosAccess takes a token, and files for TLS', async () => {
  const token = file('token', 't0ken');
  const flags = { 'mesos-token-file': token, 'mesos-ca-file': 'ca', 'mesos-cert-file': 'crt', 'mesos-key-file': 'key' };
  const { authentication, tls } = mesosAccess(flags);
  expect(await authentication!.header()).toBe('Bearer t0ken');
  expect(tls).toEqual({ caFile: 'ca', certFile: 'crt', keyFile: 'key' });
});

test.each([
  [{ 'mesos-secret-file': 's' }],
  [{ 'mesos-principal': 'p', 'mesos-secret-file': 's', 'mesos-token-file': 't' }],
  [{ 'mesos-cert-file': 'c' }],
  [{ 'mesos-key-file': 'k' }],
])('mesosAccess(%j) is a usage error', (flags) => {
  expect(() => mesosAccess(flags)).toThrow(UsageError);
});
