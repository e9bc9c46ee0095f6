/** A local Mesos that asks everybody who they are and speaks TLS alone, with certificates that are replaced. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { systemClock } from '#lib/std/clock.ts';
import { silentLog } from '#lib/std/log.ts';
import { systemRandom } from '#lib/std/random.ts';
import { type Authority, createAuthority, issue } from '#lib/tls/authority.ts';
import { type Authentication, basic, bearer, secretFile } from '#mesos/authentication.ts';
import { operatorClient } from '#mesos/operator.ts';
import { SchedulerConnection } from '#mesos/scheduler.ts';
import type { TlsFiles } from '#mesos/tls.ts';
import type { SchedulerEvent } from '#mesos/types.ts';
import { startAgent } from './agent/agent.ts';
import type { ServerTls } from './http.ts';
import { type RunningMaster, startMaster } from './master/master.ts';
import { parseResources } from './resources.ts';
import { eventually, temporaryDirectory } from './testing/cluster.ts';
import { labFramework } from './testing/scheduler.ts';

const parts = { clock: systemClock, random: systemRandom, log: silentLog };
const directory = temporaryDirectory();
const tokens = new Map([['t0ken-1', 'cf']]);
let authority: Authority;
let tls: ServerTls;
let clientTls: TlsFiles;
let master: RunningMaster;
const stack = new AsyncDisposableStack();

function file(name: string, content: string): string {
  const path = join(directory.path, name);
  writeFileSync(path, content);
  return path;
}

async function certificate(name: string, of: Authority, usage: 'client' | 'peer'): Promise<TlsFiles & ServerTls> {
  const { certificate, key } = await issue(of, { commonName: name, ips: ['127.0.0.1'], usage });
  return {
    caFile: join(directory.path, 'ca.pem'),
    certFile: file(`${name}.pem`, certificate),
    keyFile: file(`${name}.key`, key),
  };
}

beforeAll(async () => {
  authority = await createAuthority('lab');
  file('ca.pem', authority.certificate);
  tls = { ...(await certificate('server', authority, 'peer')), requireClientCert: true };
  clientTls = await certificate('client', authority, 'client');
  const credentials = [{ principal: 'cf', secret: 's3cret' }];
  const principalOf = (token: string) => tokens.get(token);
  const workDir = join(directory.path, 'master');
  master = stack.use(await startMaster({ port: 0, workDir, tls, credentials, principalOf, allocationIntervalMs: 100 }));
});

afterAll(async () => {
  await stack.disposeAsync();
  directory[Symbol.dispose]();
});

function operator(authentication: Authentication | undefined, files: TlsFiles = clientTls) {
  return operatorClient({ masters: [master.url], ...parts, tls: files, ...(authentication && { authentication }) });
}

describe('who may ask', () => {
  test.each([
    ['nobody', undefined],
    ['a wrong secret', basic('cf', () => 'guess')],
    ['a wrong token', bearer(() => 'guess')],
  ])('not %s', async (_who, authentication) => {
    await using client = operator(authentication);
    await expect(client.master()).rejects.toMatchObject({ status: 401 });
  });

  test('who has the secret, or a token', async () => {
    await using withSecret = operator(basic('cf', () => 's3cret'));
    await using withToken = operator(bearer(() => 't0ken-1'));
    for (const client of [withSecret, withToken]) expect((await client.master()).master_info.id).toBe(master.id);
  });

  test('a token that runs out is read anew from its file, and no call overtakes another', async () => {
    tokens.set('short', 'cf');
    const path = file('token', 'short\n');
    await using client = operator(bearer(secretFile(path)));
    await client.master();
    tokens.delete('short');
    tokens.set('next', 'cf');
    file('token', 'next\n');
    const order: number[] = [];
    await Promise.all([1, 2, 3].map((number) => client.master().then(() => order.push(number))));
    expect(order).toEqual([1, 2, 3]);
    tokens.delete('next');
    await expect(client.master()).rejects.toMatchObject({ status: 401 });
  });
});

describe('TLS', () => {
  test('a master of another authority is not trusted, nor a client without a certificate', async () => {
    const stranger = await createAuthority('lab');
    await using distrusts = operator(
      basic('cf', () => 's3cret'),
      { caFile: file('other.pem', stranger.certificate) },
    );
    await expect(distrusts.master()).rejects.toThrow(/certificate/);
    await using bare = operator(
      basic('cf', () => 's3cret'),
      { caFile: clientTls.caFile! },
    );
    await expect(bare.master()).rejects.toThrow();
  });

  test('certificates that were replaced are used by the next connection', async () => {
    const stranger = await createAuthority('lab');
    const files = await certificate('renewed', stranger, 'client');
    const ask = async () => {
      await using client = operator(
        basic('cf', () => 's3cret'),
        files,
      );
      return await client.master();
    };
    await expect(ask()).rejects.toThrow();
    await certificate('renewed', authority, 'client');
    expect((await ask()).master_info.id).toBe(master.id);
  });

  test('a file that cannot be read is named', async () => {
    await using client = operator(undefined, { caFile: join(directory.path, 'none.pem') });
    await expect(client.master()).rejects.toThrow(/none\.pem/);
  });
});

test('a task runs where everything is secured: scheduler, agent and executor', { timeout: 60_000 }, async () => {
  stack.use(
    await startAgent({
      ...{ port: 0, master: master.url, workDir: join(directory.path, 'agent'), hostname: 'h1.lab', tls },
      resources: parseResources('cpus:4;mem:4096'),
    }),
  );
  const framework = { ...labFramework, id: { value: 'secured' }, principal: 'cf' };
  const connection = new SchedulerConnection({
    ...parts,
    ...{ masters: [master.url], framework, tls: clientTls, authentication: basic('cf', () => 's3cret') },
  });
  const events: SchedulerEvent[] = [];
  const stop = new AbortController();
  const running = connection.run({ onEvent: (event) => void events.push(event), onDisconnected() {} }, stop.signal);
  const offers = await eventually('an offer', () => events.find((event) => event.type === 'OFFERS')?.offers.offers);
  const [offer] = offers;
  const resources = [{ name: 'cpus', type: 'SCALAR' as const, scalar: { value: 0.1 } }];
  const task = { name: 't', task_id: { value: 't' }, agent_id: offer!.agent_id, resources, command: { value: 'true' } };
  const operations = [{ type: 'LAUNCH' as const, launch: { task_infos: [task] } }];
  expect(await connection.call({ type: 'ACCEPT', accept: { offer_ids: [offer!.id], operations } })).toBe(true);
  await eventually('the end of the task', () => {
    for (const event of events.splice(0)) {
      if (event.type !== 'UPDATE') continue;
      const { agent_id, task_id, uuid, state } = event.update.status;
      void connection.call({ type: 'ACKNOWLEDGE', acknowledge: { agent_id: agent_id!, task_id, uuid: uuid! } });
      if (state === 'TASK_FINISHED') return true;
    }
    return undefined;
  });
  stop.abort();
  await running;
});

test('a scheduler whose credentials are refused is told, and does not try for ever', async () => {
  const framework = { ...labFramework, id: { value: 'refused' } };
  const options = { ...parts, masters: [master.url], framework, tls: clientTls, authentication: bearer(() => 'guess') };
  const run = new SchedulerConnection(options).run({ onEvent() {}, onDisconnected() {} }, AbortSignal.timeout(10_000));
  await expect(run).rejects.toMatchObject({ kind: 'Refused' });
});
