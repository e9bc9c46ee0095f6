/**
 * factoryctl upload over a real API server to the real endpoint of a host, in one process; what controllers and cluster servers do is done by
 * hand. With real processes and all of those: test/e2e/upload.test.ts.
 */
import { randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { expect, test, vi } from 'vitest';
import { type ApiServer, startServer } from '#apiserver/server.ts';
import { openSqlite } from '#apiserver/store/sqlite.ts';
import { projectCrds } from '#apiserver/testing/start.ts';
import { runCommandLine } from '#cli/main.ts';
import { type ConsoleServer, startConsole } from '#executor/console/server.ts';
import { uploadName } from '#executor/images/staging.ts';
import { Uploads } from '#executor/images/uploads.ts';
import { openStore, sha256 } from '#executor/testing/image-store.ts';
import { Secret } from '#lib/api/core.ts';
import { Host, Image } from '#lib/api/generated/index.ts';
import { type HttpClient, httpClient } from '#lib/client/http-client.ts';
import { systemClock } from '#lib/std/clock.ts';
import { freePort } from '#lib/std/free-ports.ts';
import { silentLog } from '#lib/std/log.ts';
import { createAuthority, issue } from '#lib/tls/authority.ts';

const common = { clock: systemClock, log: silentLog };
const at = { namespace: 'default', name: 'debian' };
const apiVersion = 'computefactory.io/v1alpha1';

const nothing = async () => {
  throw new Error('The test has no hypervisor');
};
const hypervisor = { screenshot: nothing, openScreen: nothing, agent: nothing };

async function* slowly(bytes: Readable): AsyncGenerator<Buffer> {
  for await (const chunk of bytes as AsyncIterable<Buffer>) {
    await systemClock.sleep(3);
    yield chunk;
  }
}

async function openWorld() {
  await using stack = new AsyncDisposableStack();
  const dir = stack.adopt(mkdtempSync(join(tmpdir(), 'cf-upload-')), (path) => rmSync(path, { recursive: true }));
  const images = stack.use(await openStore());
  const authority = await createAuthority('test');
  const certificate = await issue(authority, { commonName: 'api', ips: ['127.0.0.1'], usage: 'server' });
  const store = stack.use(openSqlite({ file: join(dir, 'store.db'), ...common }));
  const port = await freePort();
  const startApi = () =>
    startServer({
      ...{ store, listen: { host: '127.0.0.1', port }, tokens: 't0ken,admin,1,"system:masters"\n', crds: projectCrds },
      tls: { certificate: certificate.certificate, key: certificate.key, clientCa: authority.certificate },
    });
  const url = `https://127.0.0.1:${port}`;
  const endpoint = { server: url, ca: authority.certificate, authorization: async () => 'Bearer t0ken' };
  let api: ApiServer = await startApi();
  stack.defer(async () => await api[Symbol.asyncDispose]());
  const client: HttpClient = stack.use(httpClient(endpoint));
  let host = await openHost(images.imageStore);
  stack.defer(async () => await host[Symbol.asyncDispose]());
  await client.create(Host, {
    apiVersion,
    kind: 'Host',
    metadata: { name: 'lab-h1' },
    spec: { cluster: 'lab', hostname: 'h1' },
  } as never);
  const secret = { namespace: 'cf-system', name: 'console-lab-h1' };
  await client.create(Secret, { apiVersion: 'v1', kind: 'Secret', metadata: secret } as never);
  const publish = async () => {
    const { url: consoleURL, token, certificateSha256 } = host.server.endpoint;
    await client.patchStatus(Host, { name: 'lab-h1' }, { status: { executor: { consoleURL } } });
    await client.patch(Secret, secret, { stringData: { token, certificateSha256 } });
  };
  await publish();
  const kubeconfig = join(dir, 'kubeconfig');
  const cluster = { server: url, 'certificate-authority-data': Buffer.from(authority.certificate).toString('base64') };
  const config = {
    ...{ apiVersion: 'v1', kind: 'Config', 'current-context': 'c' },
    clusters: [{ name: 'c', cluster }],
    users: [{ name: 'u', user: { token: 't0ken' } }],
    contexts: [{ name: 'c', context: { cluster: 'c', user: 'u' } }],
  };
  writeFileSync(kubeconfig, JSON.stringify(config));
  const row = async (changes: object) => {
    const { status } = await client.get(Image, at);
    await client.patchStatus(Image, at, {
      status: { clusters: [{ ...status?.clusters?.[0], name: 'lab', ...changes }] },
    });
  };
  const kept = stack.move();
  return {
    ...{ dir, images, client, row },
    uploads: () => host.uploads,
    async upload(...args: readonly string[]) {
      const [lines, errors, progress]: string[][] = [[], [], []];
      const out = {
        isTerminal: true,
        line: (text: string) => void lines!.push(text),
        error: (text: string) => void errors!.push(text),
        progress: (text: string) => void progress!.push(text),
      };
      const all = ['upload', 'image', 'debian', ...args, '--kubeconfig', kubeconfig];
      return { code: await runCommandLine(all, out), lines: lines!, errors: errors!, progress: progress! };
    },
    /** Another worker, as after kill -9: with another token, certificate and port. */
    async restartHost() {
      await host[Symbol.asyncDispose]();
      host = await openHost(images.imageStore);
      await publish();
    },
    async restartApi() {
      await api[Symbol.asyncDispose]();
      api = await startApi();
    },
    /** What controllers and the cluster server do once there is an Image: it is to be uploaded to lab. */
    async prepared() {
      await vi.waitFor(() => client.get(Image, at), { timeout: 10_000 });
      await row({ phase: 'WaitingForUpload', host: 'h1' });
    },
    /** Imports the file as soon as it is whole. */
    async imported() {
      const { uid } = (await client.get(Image, at)).metadata;
      const isWhole = async () => expect((await host.uploads.state(uid)).complete).toBe(true);
      await vi.waitFor(isWhole, { timeout: 60_000, interval: 50 });
      await row({ phase: 'Converting' });
      const result = await images.run({ upload: {} }, { uid, taskId: `img-${uid}-1` }, { hypervisor: 'sim' });
      await row({ phase: 'Ready', ...result });
      return result;
    },
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  };
}

async function openHost(imageStore: string) {
  const uploads = new Uploads({ imageStore, cluster: 'lab', changed: () => undefined, ...common, lookMs: 50 });
  const slow: Pick<Uploads, 'state' | 'receive'> = {
    state: (uid) => uploads.state(uid),
    receive: (piece, bytes, options) => uploads.receive(piece, Readable.from(slowly(bytes)), options),
  };
  const server: ConsoleServer = await startConsole({
    listen: '127.0.0.1:0',
    root: '/nowhere',
    hypervisor,
    uploads: slow,
    ...common,
  });
  return {
    ...{ uploads, server },
    async [Symbol.asyncDispose]() {
      await server[Symbol.asyncDispose]();
      await uploads[Symbol.asyncDispose]();
    },
  };
}

function fileOf(dir: string, bytes: Buffer, name = 'disk.img'): string {
  const path = join(dir, name);
  writeFileSync(path, bytes);
  return path;
}

test('an upload goes on though the host and the API server begin anew in the middle of it', async () => {
  await using world = await openWorld();
  const bytes = randomBytes(64 * 2 ** 20);
  const running = world.upload('--file', fileOf(world.dir, bytes), '--family', 'f', '--os-type', 'Windows');
  await world.prepared();
  const importing = world.imported();
  const far = (mib: number) =>
    vi.waitFor(() => expect(world.uploads().report()[0]?.received ?? 0).toBeGreaterThan(mib * 2 ** 20), {
      timeout: 30_000,
      interval: 5,
    });
  await far(8);
  await world.restartHost();
  await far(24);
  await world.restartApi();
  await far(40);
  const [{ code, lines, errors, progress }, { digest }] = await Promise.all([running, importing]);
  expect({ code, lines, errors }).toEqual({
    ...{ code: 0, errors: [] },
    lines: [
      'image.computefactory.io/debian created',
      'image.computefactory.io/debian uploaded to lab',
      `image.computefactory.io/debian is Ready in lab: sha256 ${digest} as stored`,
    ],
  });
  expect(progress.join('\n')).toMatch(/Uploading debian to lab: \d+(\.\d)? MiB of 64\.0 MiB \(\d+%\), .*\/s/);
  expect(progress.filter((text) => text.startsWith('Trying again')).length).toBeGreaterThanOrEqual(2);
  const { spec } = await world.client.get(Image, at);
  expect(spec).toMatchObject({ family: 'f', osType: 'Windows' });
  expect(spec).toMatchObject({ source: { upload: {} }, checksum: `sha256:${sha256(bytes)}` });
}, 90_000);

test('what does not fit is told in words', async () => {
  await using world = await openWorld();
  const bytes = randomBytes(2 ** 20);
  const file = fileOf(world.dir, bytes);
  const other = fileOf(world.dir, randomBytes(2 ** 20), 'other.img');
  const first = world.upload('--file', file);
  await world.prepared();
  await world.imported();
  expect((await first).code).toBe(0);
  const says = async (...args: readonly string[]) => {
    const { code, errors } = await world.upload(...args);
    return `${code} ${errors.join('\n')}`;
  };
  expect(await says('--file', file)).toMatch(/^1 image debian is Ready already/);
  expect(await says('--file', other)).toMatch(/^1 image debian is of another file: its spec.checksum is sha256:/);
  await world.row({ phase: 'WaitingForUpload' });
  expect(await says('--file', file, '--cluster', 'west')).toMatch(/^1 .*the clusters that take it are lab$/);
  const { uid } = (await world.client.get(Image, at)).metadata;
  const body = new Readable({ read: () => undefined });
  body.push('x');
  const piece = { uid, offset: 0, size: 9, sha256: 'a'.repeat(64), maxVirtualSize: 2 ** 30 };
  const sending = world.uploads().receive(piece, body, { begin: () => undefined, signal: AbortSignal.timeout(60_000) });
  sending.catch(() => undefined);
  await vi.waitFor(() => expect(world.uploads().report()[0]?.received).toBe(1));
  expect(await says('--file', file)).toMatch(/^1 1 of 9 bytes of another file .* throw it away with --restart$/);
  expect(await says('--file', file, '--restart')).toMatch(/^1 Somebody else is uploading it: 1 of 9/);
  body.destroy();
  await expect(sending).rejects.toThrow();
  const again = world.upload('--file', file, '--restart', '--no-wait');
  expect(await again).toMatchObject({ code: 0, lines: ['image.computefactory.io/debian uploaded to lab'] });
  expect(readFileSync(join(world.images.imageStore, 'incoming', uploadName(uid, 'lab'), 'source')).equals(bytes)).toBe(
    true,
  );
  expect(await says()).toMatch(/^2 Give --file PATH/);
  expect(await says('--file', '/nowhere')).toMatch(/^2 Cannot read \/nowhere: /);
  expect(await says('--file', world.dir)).toMatch(/^2 .* is not a file/);
}, 60_000);
