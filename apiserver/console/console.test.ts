import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { createServer, request } from 'node:https';
import type { AddressInfo } from 'node:net';
import { expect, test, vi } from 'vitest';
import { WebSocket, WebSocketServer } from 'ws';
import { defaultLimits } from '#apiserver/fairness/fairness.ts';
import { startTestServer, type TestServer } from '#apiserver/testing/start.ts';
import { machineToken } from '#lib/api/host-endpoint.ts';
import { createAuthority, fingerprint, issue } from '#lib/tls/authority.ts';

const namespace = '/apis/computefactory.io/v1alpha1/namespaces/default';
const machine = `${namespace}/virtualmachines/web`;

type TestHost = AsyncDisposable & { readonly url: string; readonly sha256: string; readonly requests: string[] };

/** A host that echoes what is typed, behind a certificate of its own, and answers every other request the same. */
async function startHost(answer = { status: 200, text: '', ends: true }): Promise<TestHost> {
  const authority = await createAuthority('host');
  const certificate = await issue(authority, { commonName: 'h1', ips: ['127.0.0.1'], usage: 'server' });
  const listener = createServer({ cert: certificate.certificate, key: certificate.key });
  const webSockets = new WebSocketServer({ server: listener });
  const requests: string[] = [];
  listener.on('request', (request, response) => {
    const line = `${request.method} ${request.url} ${request.headers.authorization}`;
    request.on('data', (body) => requests.push(`${line} ${body}`));
    if (request.method === 'GET') requests.push(line);
    response.writeHead(answer.status);
    if (answer.status === 200) response.write(answer.text);
    else response.end(answer.text);
    response.on('close', () => requests.push('closed'));
    if (answer.ends) response.end();
  });
  webSockets.on('connection', (socket, request) => {
    requests.push(`${request.url} ${request.headers.authorization}`);
    socket.on('message', (data: Buffer) => {
      if (String(data) === 'off') socket.close(4404, 'The machine was turned off');
      else socket.send(data, { binary: true });
    });
  });
  listener.listen(0, '127.0.0.1');
  await once(listener, 'listening');
  return {
    url: `https://127.0.0.1:${(listener.address() as AddressInfo).port}`,
    sha256: fingerprint(certificate.certificate),
    requests,
    async [Symbol.asyncDispose]() {
      for (const socket of webSockets.clients) socket.terminate();
      listener.closeAllConnections();
      listener.close();
      await once(listener, 'close');
    },
  };
}

async function expectOk(started: TestServer, path: string, method: string, body: object): Promise<string> {
  const headers = method === 'PATCH' ? { 'content-type': 'application/merge-patch+json' } : {};
  const reply = await started.request(path, { method, headers, body });
  expect(reply.status, reply.text).toBeLessThan(300);
  return reply.text;
}

async function createMachine(started: TestServer): Promise<string> {
  const text = await expectOk(started, `${namespace}/virtualmachines`, 'POST', {
    apiVersion: 'computefactory.io/v1alpha1',
    kind: 'VirtualMachine',
    metadata: { name: 'web' },
    spec: { resources: { cores: 1, memory: '1Gi' }, image: { name: 'debian' } },
  });
  return (JSON.parse(text) as { metadata: { uid: string } }).metadata.uid;
}

async function runMachine(started: TestServer, host: { url: string; sha256: string }): Promise<void> {
  await expectOk(started, `${namespace}/virtualmachines/web/status`, 'PATCH', {
    status: { attempt: { number: 1, cluster: 'east', host: 'h1' } },
  });
  await expectOk(started, '/apis/computefactory.io/v1alpha1/hosts', 'POST', {
    apiVersion: 'computefactory.io/v1alpha1',
    kind: 'Host',
    metadata: { name: 'east-h1' },
    spec: { cluster: 'east', hostname: 'h1' },
  });
  await expectOk(started, '/apis/computefactory.io/v1alpha1/hosts/east-h1/status', 'PATCH', {
    status: { executor: { consoleURL: host.url } },
  });
  await expectOk(started, '/api/v1/namespaces/cf-system/secrets', 'POST', {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name: 'console-east-h1' },
    stringData: { token: 'host-token', certificateSha256: host.sha256 },
  });
}

/** The host has another worker, at another URL. */
async function moveMachine(started: TestServer, host: { url: string; sha256: string }): Promise<void> {
  await expectOk(started, '/apis/computefactory.io/v1alpha1/hosts/east-h1/status', 'PATCH', {
    status: { executor: { consoleURL: host.url } },
  });
  await expectOk(started, '/api/v1/namespaces/cf-system/secrets/console-east-h1', 'PATCH', {
    stringData: { certificateSha256: host.sha256 },
  });
}

function openConsole(started: TestServer, token = started.token, what = 'console'): WebSocket {
  const url = `${started.server.url.replace('https', 'wss')}${machine}/${what}`;
  return new WebSocket(url, { ca: started.authority.certificate, headers: { authorization: `Bearer ${token}` } });
}

/** Gives vera a role in the namespace; what comes back takes it away. */
async function bindVera(started: TestServer, role: 'view' | 'edit'): Promise<() => Promise<unknown>> {
  const bindings = '/apis/rbac.authorization.k8s.io/v1/namespaces/default/rolebindings';
  await expectOk(started, bindings, 'POST', {
    apiVersion: 'rbac.authorization.k8s.io/v1',
    kind: 'RoleBinding',
    metadata: { name: 'vera' },
    subjects: [{ kind: 'User', name: 'vera' }],
    roleRef: { kind: 'ClusterRole', name: role },
  });
  return async () => await started.request(`${bindings}/vera`, { method: 'DELETE' });
}

/** A log that goes on, as far as it has come. */
async function follow(started: TestServer, token: string) {
  const outgoing = request(`${started.server.url}${machine}/log?follow=true`, {
    ca: started.authority.certificate,
    agent: false,
    headers: { authorization: `Bearer ${token}` },
  });
  outgoing.end();
  const [response] = (await once(outgoing, 'response')) as [IncomingMessage];
  const following = { status: response.statusCode, text: '', ended: false };
  response.on('data', (chunk) => (following.text += chunk)).on('end', () => Object.assign(following, { ended: true }));
  return following;
}

/** The status and body with which the server refuses to upgrade. */
async function refusal(socket: WebSocket): Promise<{ code: number; message: string }> {
  const [request, response] = (await once(socket, 'unexpected-response')) as [
    { destroy(): void },
    AsyncIterable<Buffer>,
  ];
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk);
  request.destroy();
  return JSON.parse(Buffer.concat(chunks).toString()) as { code: number; message: string };
}

test('what is typed reaches the host, and what the host says comes back', async () => {
  await using host = await startHost();
  await using started = await startTestServer();
  const uid = await createMachine(started);
  await runMachine(started, host);
  const console = openConsole(started);
  await once(console, 'open');
  console.send(Buffer.from('ls\n'));
  const [data] = (await once(console, 'message')) as [Buffer];
  expect(data.toString()).toBe('ls\n');
  expect(host.requests).toEqual([`/machines/${uid}/console Bearer host-token`]);
  console.close();
  await once(console, 'close');
});

test('a machine that does not run has no console, and one that does not exist neither', async () => {
  await using started = await startTestServer();
  expect((await refusal(openConsole(started))).code).toBe(404);
  await createMachine(started);
  const status = await refusal(openConsole(started));
  expect(status.code).toBe(503);
  expect(status.message).toContain('"web" is not running');
});

test('a host of another cluster that bears the same name gets no console', async () => {
  await using host = await startHost();
  await using started = await startTestServer();
  await createMachine(started);
  await runMachine(started, host);
  await expectOk(started, `${namespace}/virtualmachines/web/status`, 'PATCH', {
    status: { attempt: { cluster: 'east-h', host: '1' } },
  });
  await expectOk(started, '/apis/computefactory.io/v1alpha1/hosts', 'POST', {
    apiVersion: 'computefactory.io/v1alpha1',
    kind: 'Host',
    metadata: { name: 'east-h-1' },
    spec: { cluster: 'east', hostname: 'h-1' },
  });
  await expectOk(started, '/apis/computefactory.io/v1alpha1/hosts/east-h-1/status', 'PATCH', {
    status: { executor: { consoleURL: host.url } },
  });
  expect((await refusal(openConsole(started))).message).toContain('host "east-h-1" is not of cluster "east-h"');
  expect(host.requests).toEqual([]);
});

test('nobody gets a console without saying who they are', async () => {
  await using started = await startTestServer();
  await createMachine(started);
  expect((await refusal(openConsole(started, 'guessed'))).code).toBe(401);
});

test('a host with another certificate never sees the token', async () => {
  await using host = await startHost();
  await using started = await startTestServer();
  await createMachine(started);
  await runMachine(started, { url: host.url, sha256: '00'.repeat(32) });
  expect((await refusal(openConsole(started))).message).toContain('not the one that it has announced');
  expect(host.requests).toEqual([]);
});

test('why the host ends it reaches the client, and so does the screen', async () => {
  await using host = await startHost();
  await using started = await startTestServer();
  const uid = await createMachine(started);
  await runMachine(started, host);
  const screen = openConsole(started, started.token, 'vnc');
  await once(screen, 'open');
  expect(host.requests).toEqual([`/machines/${uid}/vnc Bearer ${machineToken('host-token', uid, 'vnc')}`]);
  screen.send(Buffer.from('off'));
  const [code, reason] = (await once(screen, 'close')) as [number, Buffer];
  expect([code, String(reason)]).toEqual([4404, 'The machine was turned off']);
});

test('who only reads along says so to the host', async () => {
  await using host = await startHost();
  await using started = await startTestServer();
  const uid = await createMachine(started);
  await runMachine(started, host);
  const console = openConsole(started, started.token, 'console?readOnly=true');
  await once(console, 'open');
  expect(host.requests).toEqual([`/machines/${uid}/console?readOnly=true Bearer host-token`]);
  console.terminate();
});

test('the log is passed on, with a token for nothing else', async () => {
  await using host = await startHost({ status: 200, text: 'READY web\r\n', ends: true });
  await using started = await startTestServer();
  const uid = await createMachine(started);
  expect((await started.request(`${machine}/log`)).status).toBe(503);
  await runMachine(started, host);
  const reply = await started.request(`${machine}/log?tailLines=3&limitBytes=99&pretty=false`);
  expect(reply).toMatchObject({ status: 200, text: 'READY web\r\n' });
  expect(reply.headers['content-type']).toBe('text/plain; charset=utf-8');
  const token = machineToken('host-token', uid, 'log');
  expect(host.requests[0]).toBe(`GET /machines/${uid}/log?tailLines=3&limitBytes=99 Bearer ${token}`);
  expect((await started.request(`${machine}/log`, { method: 'HEAD' })).status).toBe(200);
  expect((await started.request(`${machine}/log`, { method: 'POST', body: {} })).status).toBe(404);
});

test.each([
  ['tailLines=-1', 'tailLines must be a whole number'],
  ['limitBytes=0', 'limitBytes must be a whole number, at least 1'],
  ['sinceSeconds=5', 'knows no sinceSeconds'],
])('a log with %s is refused before any host is asked', async (query, why) => {
  await using started = await startTestServer();
  await createMachine(started);
  const reply = await started.request(`${machine}/log?${query}`);
  expect(reply.status).toBe(400);
  expect(reply.text).toContain(why);
});

test('what the host refuses is told in its words; a host that does not know logs, in ours', async () => {
  await using started = await startTestServer();
  await createMachine(started);
  await using host = await startHost({ status: 404, text: 'The machine is not on its host', ends: true });
  await runMachine(started, host);
  const reply = await started.request(`${machine}/log`);
  expect(reply.status).toBe(503);
  expect(reply.text).toContain('Cannot read the log: The machine is not on its host');
  await using old = await startHost({ status: 404, text: '', ends: true });
  await moveMachine(started, old);
  expect((await started.request(`${machine}/log`)).text).toContain('the executor of its host does not know how');
});

test('a command is looked at, and passed on with nothing beside it', async () => {
  await using host = await startHost({ status: 200, text: '{"exitCode":3}', ends: true });
  await using started = await startTestServer();
  const uid = await createMachine(started);
  await runMachine(started, host);
  const command = ['sh', '-c', 'exit 3'];
  const reply = await started.request(`${machine}/exec`, { method: 'POST', body: { command, uid: 'other' } });
  expect(reply).toMatchObject({ status: 200, text: '{"exitCode":3}' });
  const token = machineToken('host-token', uid, 'exec');
  expect(host.requests[0]).toBe(
    `POST /machines/${uid}/exec Bearer ${token} ${JSON.stringify({ command, timeoutSeconds: 30 })}`,
  );
  expect((await started.request(`${machine}/exec`)).status).toBe(404);
});

test.each([
  ['no command', { command: [] }, 'the program first'],
  ['a text', { command: 'ls -l' }, 'must be a list'],
  ['a zero byte', { command: ['ls', 'a\0b'] }, 'zero byte'],
  ['too many bytes', { command: ['echo', 'x'.repeat(200_000)] }, '131072 bytes'],
  ['too long a wait', { command: ['ls'], timeoutSeconds: 600 }, 'from 1 to 50'],
])('a command with %s is refused before any host is asked', async (_, body, why) => {
  await using started = await startTestServer();
  await createMachine(started);
  const reply = await started.request(`${machine}/exec`, { method: 'POST', body });
  expect([reply.status, reply.text]).toEqual([400, expect.stringContaining(why)]);
});

test('a followed log has no deadline, holds no seat, and ends with the right to it', async () => {
  await using host = await startHost({ status: 200, text: 'one\n', ends: false });
  await using started = await startTestServer({
    tokens: 'token-of-vera,vera,,\n',
    limits: { ...defaultLimits, maxRequestsInflight: 1 },
  });
  await createMachine(started);
  await runMachine(started, host);
  const revoke = await bindVera(started, 'view');
  const following = await vi.waitFor(async () => {
    const reply = await follow(started, 'token-of-vera');
    expect(reply.status).toBe(200);
    return reply;
  }, 5_000);
  await vi.waitFor(() => expect(following.text).toBe('one\n'), 5_000);
  expect((await started.request(machine, { token: 'token-of-vera' })).status).toBe(200);
  await revoke();
  await vi.waitFor(() => expect(following.ended).toBe(true), 5_000);
  await vi.waitFor(() => expect(host.requests.at(-1)).toBe('closed'), 5_000);
});

test('a right that is taken away ends the console that it opened', async () => {
  await using host = await startHost();
  await using started = await startTestServer({ tokens: 'token-of-vera,vera,,\n' });
  await createMachine(started);
  await runMachine(started, host);
  const revoke = await bindVera(started, 'edit');
  const console = await vi.waitFor(async () => {
    const opening = openConsole(started, 'token-of-vera');
    await once(opening, 'open');
    return opening;
  }, 5_000);
  // Listened for from before: it may end while the answer to the deletion is on its way.
  const closed = once(console, 'close', { signal: AbortSignal.timeout(5_000) });
  await revoke();
  await closed;
});
