import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { type ConnectionOptions, connect, createServer, type TLSSocket } from 'node:tls';
import { expect, test } from 'vitest';
import { type Authority, type Certificate, createAuthority, fingerprint, issue } from './authority.ts';

interface Peer {
  readonly commonName: string | undefined;
  readonly groups: readonly string[];
}

/** A TLS server that asks for client certificates and tells each client who it is. */
async function serve(authority: Authority, server: Certificate): Promise<AsyncDisposable & { port: number }> {
  const listener = createServer(
    {
      cert: server.certificate,
      key: server.key,
      ca: authority.certificate,
      requestCert: true,
      rejectUnauthorized: false,
    },
    (socket) => {
      const subject = socket.authorized ? new X509Certificate(socket.getPeerCertificate(true).raw).subject : '';
      const lines = subject.split('\n');
      const peer: Peer = {
        commonName: lines.find((line) => line.startsWith('CN='))?.slice(3),
        groups: lines.filter((line) => line.startsWith('O=')).map((line) => line.slice(2)),
      };
      socket.end(JSON.stringify(peer));
    },
  );
  listener.listen(0, '127.0.0.1');
  await once(listener, 'listening');
  return {
    port: (listener.address() as AddressInfo).port,
    async [Symbol.asyncDispose]() {
      listener.close();
      await once(listener, 'close');
    },
  };
}

async function ask(options: ConnectionOptions): Promise<Peer> {
  const socket: TLSSocket = connect({ host: '127.0.0.1', ...options });
  const chunks: Buffer[] = [];
  for await (const chunk of socket) chunks.push(chunk as Buffer);
  return JSON.parse(Buffer.concat(chunks).toString()) as Peer;
}

test('a server and a client of one authority know each other over TLS', async () => {
  const authority = await createAuthority('test authority');
  const server = await issue(authority, { commonName: 'server', ips: ['127.0.0.1'], usage: 'server' });
  const client = await issue(authority, { commonName: 'jo', organizations: ['a', 'b'], usage: 'client' });
  await using listener = await serve(authority, server);
  const peer = await ask({
    port: listener.port,
    ca: authority.certificate,
    cert: client.certificate,
    key: client.key,
  });
  expect(peer).toEqual({ commonName: 'jo', groups: ['a', 'b'] });
});

test('a certificate of another authority is trusted by neither side', async () => {
  const authority = await createAuthority('ours');
  const stranger = await createAuthority('ours');
  const server = await issue(authority, { commonName: 'server', ips: ['127.0.0.1'], usage: 'server' });
  const client = await issue(stranger, { commonName: 'jo', usage: 'client' });
  await using listener = await serve(authority, server);
  await expect(ask({ port: listener.port, ca: stranger.certificate })).rejects.toThrow(/certificate/);
  const peer = await ask({ port: listener.port, ca: authority.certificate, cert: client.certificate, key: client.key });
  expect(peer.groups).toEqual([]);
});

test('a server is trusted only for the names in its certificate', async () => {
  const authority = await createAuthority('ours');
  const server = await issue(authority, { commonName: 'server', dnsNames: ['api.test'], usage: 'server' });
  await using listener = await serve(authority, server);
  const ca = authority.certificate;
  await expect(ask({ port: listener.port, ca })).rejects.toThrow(/altnames/);
  await expect(ask({ port: listener.port, ca, servername: 'api.test' })).resolves.toBeDefined();
});

test('a server certificate without a name is refused', async () => {
  const authority = await createAuthority('ours');
  await expect(issue(authority, { commonName: 'server', usage: 'server' })).rejects.toThrow(/needs dnsNames or ips/);
});

test('a client certificate does not serve, and serial numbers differ', async () => {
  const authority = await createAuthority('ours');
  const one = await issue(authority, { commonName: 'jo', usage: 'client' });
  const two = await issue(authority, { commonName: 'jo', usage: 'client' });
  expect(new X509Certificate(one.certificate).keyUsage).toEqual(['1.3.6.1.5.5.7.3.2']);
  expect(new X509Certificate(one.certificate).serialNumber).not.toBe(new X509Certificate(two.certificate).serialNumber);
  expect(new X509Certificate(one.certificate).ca).toBe(false);
});

test('the fingerprint is the one that TLS reports of the peer', async () => {
  const authority = await createAuthority('ours');
  const server = await issue(authority, { commonName: 'server', ips: ['127.0.0.1'], usage: 'server' });
  await using listener = await serve(authority, server);
  const socket = connect({ host: '127.0.0.1', port: listener.port, ca: authority.certificate });
  await once(socket, 'secureConnect');
  const seen = socket.getPeerCertificate().fingerprint256.replaceAll(':', '').toLowerCase();
  socket.destroy();
  expect(fingerprint(server.certificate)).toBe(seen);
});
