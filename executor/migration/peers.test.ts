import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { request } from 'node:https';
import { describe, expect, test } from 'vitest';
import { migrationPath, migrationToken } from '#lib/api/host-endpoint.ts';
import { systemClock } from '#lib/std/clock.ts';
import { silentLog } from '#lib/std/log.ts';
import { systemRandom } from '#lib/std/random.ts';
import { startConsole } from '../console/server.ts';
import type { Hypervisor } from '../hypervisor.ts';
import { noUploads } from '../testing/no-uploads.ts';
import type { Arrivals } from './arrivals.ts';
import { httpsPeers } from './https-peers.ts';
import { MemoryNetwork } from './memory-peers.ts';
import { describePeers } from './peers.suite.ts';
import { wordsMax } from './peers.ts';
import { socketPlace } from './sockets.ts';

const common = { clock: systemClock, log: silentLog };
const place = (root: string) => async () => await socketPlace(root, silentLog);
const listening = async (arrivals: Pick<Arrivals, 'at'>, root: string) =>
  await startConsole({
    ...{ listen: '127.0.0.1:0', root, hypervisor: {} as Hypervisor, uploads: noUploads, arrivals, ...common },
  });

describe('over the network', () =>
  describePeers(async (arrivals, { source, destination }) => {
    const server = await listening(arrivals, destination);
    const peers = httpsPeers({ root: source, ...common });
    return { peers, endpoint: server.endpoint, [Symbol.asyncDispose]: () => server[Symbol.asyncDispose]() };
  }, place));

describe('in one process', () =>
  describePeers(async (arrivals, { source }) => {
    const network = new MemoryNetwork(systemRandom);
    const joined = network.join(arrivals);
    const peers = network.peers({}, place(source));
    return { peers, endpoint: joined.endpoint, [Symbol.asyncDispose]: async () => joined[Symbol.dispose]() };
  }, place));

/** A destination that is never asked. */
const untouched: Pick<Arrivals, 'at'> = {
  at: () => {
    throw new Error('Somebody came through');
  },
};
const [uid, id] = [randomUUID(), randomUUID()];
const signal = new AbortController().signal;

test('a host with another certificate than it has announced is sent nothing', async () => {
  await using server = await listening(untouched, '/nowhere');
  const { endpoint } = server;
  const token = migrationToken(endpoint.token, uid, id);
  const peer = httpsPeers({ root: '/nowhere', ...common }).open({
    ...{ url: endpoint.url, certificateSha256: '0'.repeat(64), token, uid, id },
  });
  await expect(peer.outcome(signal)).rejects.toThrow('its certificate is not the one');
});

test('a host answers nobody who says more than it takes, nor what it does not serve', async () => {
  const reads: string[] = [];
  const at = () =>
    ({ prepare: async (begun: string) => void reads.push(begun) }) as unknown as ReturnType<Arrivals['at']>;
  await using server = await listening({ at }, '/nowhere');
  const { url, token: secret } = server.endpoint;
  const token = migrationToken(secret, uid, id);
  const ask = async (method: string, path: string, body?: Buffer, authorization = `Bearer ${token}`) => {
    const sent = request(`${url}${path}`, { method, rejectUnauthorized: false, headers: { authorization } });
    const answered = once(sent, 'response').then(([response]) => response.resume().statusCode);
    sent.end(body);
    return await answered.catch(() => 'broken off');
  };
  const path = migrationPath(uid, id);
  expect(await ask('POST', `${path}/prepare`, Buffer.alloc(wordsMax))).toBe(200);
  expect(await ask('POST', `${path}/prepare`, Buffer.alloc(wordsMax + 1))).not.toBe(200);
  expect(reads).toHaveLength(1);
  expect(await ask('POST', `${path}/prepare`, undefined, `Bearer ${secret}`)).toBe(401);
  for (const [method, wrong] of [
    ['PUT', path],
    ['GET', `${path}/memory`],
    ['POST', `${path}/prepare/x`],
    ['GET', `/migrations/${uid}/..%2f`],
    ['GET', '/migrations/x/y'],
  ] as const)
    expect(await ask(method, wrong), wrong).toBe(404);
});
