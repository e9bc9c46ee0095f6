import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { readKubeconfig } from './kubeconfig.ts';

function file(content: string) {
  const dir = mkdtempSync(join(tmpdir(), 'cf-kubeconfig-'));
  writeFileSync(join(dir, 'config'), content);
  writeFileSync(join(dir, 'ca.pem'), 'PEM of the authority');
  return { path: join(dir, 'config'), [Symbol.dispose]: () => rmSync(dir, { recursive: true }) };
}

const config = (user: string) => `
apiVersion: v1
kind: Config
current-context: here
contexts: [{name: here, context: {cluster: c, user: u, namespace: team}}]
clusters: [{name: c, cluster: {server: "https://127.0.0.1:6443", certificate-authority: ca.pem, tls-server-name: factory}}]
users: [{name: u, user: ${user}}]
`;

describe('readKubeconfig()', () => {
  it('reads server, authority (relative to the file), token and namespace', async () => {
    using written = file(config('{token: s3cret}'));
    const { endpoint, namespace } = readKubeconfig(written.path);
    expect(endpoint).toMatchObject({
      server: 'https://127.0.0.1:6443',
      ca: 'PEM of the authority',
      tlsServerName: 'factory',
      skipTlsVerify: false,
    });
    expect(await endpoint.authorization?.()).toBe('Bearer s3cret');
    expect(namespace).toBe('team');
  });

  it('reads a client certificate given inline', () => {
    const base64 = (text: string) => Buffer.from(text).toString('base64');
    using written = file(config(`{client-certificate-data: ${base64('CERT')}, client-key-data: ${base64('KEY')}}`));
    expect(readKubeconfig(written.path).endpoint).toMatchObject({ cert: 'CERT', key: 'KEY' });
  });

  it('says which file it could not use', () => {
    expect(() => readKubeconfig('/nonexistent/config')).toThrow('/nonexistent/config');
    using written = file(
      '{apiVersion: v1, kind: Config, current-context: gone, contexts: [], clusters: [], users: []}',
    );
    expect(() => readKubeconfig(written.path)).toThrow(/no cluster for the context "gone"/);
  });
});
