/** What is seen of the inside of a real machine from its host, by way of the host's own endpoint: log, screen, agent. */
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { lstatSync, renameSync, rmSync, statSync, symlinkSync } from 'node:fs';
import { request } from 'node:https';
import { createServer } from 'node:net';
import { dirname } from 'node:path';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { createWebSocketStream, WebSocket } from 'ws';
import type { ExecResult } from '#lib/api/exec.ts';
import { type MachineService, machinePath, machineToken } from '#lib/api/host-endpoint.ts';
import { systemClock } from '#lib/std/clock.ts';
import { silentLog } from '#lib/std/log.ts';
import { openRealHost, type RealHost, whyNoRealHost } from '#test/real-host.ts';
import { consolePaths } from '../console/paths.ts';
import { type ConsoleServer, startConsole } from '../console/server.ts';
import { type Hypervisor, MachineError } from '../hypervisor.ts';
import { noUploads } from '../testing/no-uploads.ts';
import { openRfb } from '../testing/rfb.ts';
import { libvirtDevices } from './devices.ts';
import { libvirtHypervisor } from './driver.ts';

const bootMs = 60_000;
const keptBytes = 2 ** 20;

describe.skipIf(whyNoRealHost() !== undefined)('inside a machine', { timeout: 120_000 }, () => {
  const uid = randomUUID();
  let host: RealHost;
  let hypervisor: Hypervisor;
  let server: ConsoleServer;
  beforeAll(async () => {
    host = await openRealHost();
    hypervisor = libvirtHypervisor({ socket: host.socket, installation: 'i' });
    const { root } = host;
    const image = { path: host.image, format: 'qcow2' } as const;
    const seed = {
      label: 'cidata',
      files: { 'meta-data': `instance-id: ${uid}\nlocal-hostname: web\n`, 'user-data': '' },
    };
    const disks = await libvirtDevices({ root, netns: host.netns }).makeDisks({
      uid,
      image,
      rootDiskBytes: 64 * 2 ** 20,
      seed,
    });
    const named = {
      uid,
      installation: 'i',
      namespace: 'n',
      name: 'web',
      attempt: 1,
      cores: 1,
      memoryMiB: 128,
      nics: [],
    };
    await hypervisor.define({ ...named, ...disks, ...consolePaths(root, uid) });
    await hypervisor.start(uid);
    server = await startConsole({
      listen: '127.0.0.1:0',
      root,
      hypervisor,
      uploads: noUploads,
      clock: systemClock,
      log: silentLog,
    });
    await vi.waitFor(async () => expect(await text('log')).toContain('READY web'), { timeout: bootMs, interval: 200 });
  }, 180_000);
  afterAll(async () => {
    await server?.[Symbol.asyncDispose]();
    await hypervisor?.[Symbol.asyncDispose]();
    await host?.[Symbol.asyncDispose]();
  });

  const paths = () => consolePaths(host.root, uid);
  const authorization = (service: MachineService) => `Bearer ${machineToken(server.endpoint.token, uid, service)}`;

  async function ask(service: MachineService, { query = '', body }: { query?: string; body?: object } = {}) {
    const sent = request(`${server.endpoint.url}${machinePath(uid, service)}${query}`, {
      method: body ? 'POST' : 'GET',
      headers: { authorization: authorization(service) },
      rejectUnauthorized: false,
      agent: false,
    });
    sent.end(body && JSON.stringify(body));
    const [response] = (await once(sent, 'response')) as [AsyncIterable<Buffer> & { readonly statusCode: number }];
    const chunks: Buffer[] = [];
    for await (const chunk of response) chunks.push(chunk);
    return { status: response.statusCode, bytes: Buffer.concat(chunks) };
  }

  const text = async (service: MachineService, query = '') => (await ask(service, { query })).bytes.toString('latin1');

  /** Runs a line of shell in the guest, by its agent. */
  async function run(line: string): Promise<{ readonly exitCode: number; readonly stdout: string }> {
    const { status, bytes } = await ask('exec', { body: { command: ['sh', '-c', line], timeoutSeconds: 50 } });
    expect(status, String(bytes)).toBe(200);
    const result = JSON.parse(String(bytes)) as { exitCode: number; stdout: string };
    return { ...result, stdout: Buffer.from(result.stdout, 'base64').toString() };
  }

  test('the agent of the guest runs commands, and says what the guest is', async () => {
    await vi.waitFor(async () => await hypervisor.agent(uid, { execute: 'guest-ping' }, 5_000), {
      timeout: 20_000,
      interval: 200,
    });
    expect(await run('hostname; exit 3')).toMatchObject({ exitCode: 3, stdout: 'web\n' });
    const os = await hypervisor.agent(uid, { execute: 'guest-get-osinfo' }, 5_000);
    expect(os).toMatchObject({ id: 'small-guest', machine: 'x86_64' });
    const late = await ask('exec', { body: { command: ['sleep', '30'], timeoutSeconds: 1 } });
    expect(late.status).toBe(503);
    const [, pid] = /it goes on in the machine as process (\d+)/.exec(String(late.bytes)) ?? [];
    expect(await run(`test -d /proc/${pid}`)).toMatchObject({ exitCode: 0 });
  });

  test('what a command prints is cut in the guest: more of it would take the agent away', async () => {
    const much = await ask('exec', { body: { command: ['dd', 'if=/dev/zero', 'bs=1M', 'count=12'] } });
    const { stdout, truncated, exitCode } = JSON.parse(String(much.bytes)) as ExecResult;
    expect([much.status, Buffer.from(stdout, 'base64').length, truncated]).toEqual([200, keptBytes, true]);
    expect(exitCode).toBeGreaterThan(0);
    expect((await run('echo there')).stdout).toBe('there\n');
  });

  test('the log is readable by root alone, goes on in the next file, over libvirt and the next worker', async () => {
    expect(statSync(paths().consoleLog).mode & 0o777).toBe(0o600);
    expect(statSync(paths().consoleLog).uid).toBe(0);
    await run(
      'i=0; while [ $i -lt 45000 ]; do i=$((i+1)); echo "$i ........................................................"; done >/dev/console',
    );
    await run('echo LAST >/dev/console');
    await vi.waitFor(async () => expect(await text('log', '?tailLines=1')).toBe('LAST\r\n'), {
      timeout: 30_000,
      interval: 200,
    });
    expect(lstatSync(`${paths().consoleLog}.0`).size).toBeGreaterThan(keptBytes);
    const kept = await text('log');
    expect(kept).toHaveLength(keptBytes);
    // Not a line is missing where one file ends and the next one begins.
    const numbers = [...kept.matchAll(/^(\d+) \.+\r$/gm)].map(([, number]) => Number(number));
    expect(numbers).toEqual(Array.from({ length: numbers.length }, (_, index) => numbers[0]! + index));
    expect(numbers.at(-1)).toBe(45_000);
    for (const { pid, name } of await host.processes()) if (name === 'libvirtd') process.kill(pid, 'SIGKILL');
    await server[Symbol.asyncDispose]();
    server = await startConsole({
      listen: '127.0.0.1:0',
      root: host.root,
      hypervisor,
      uploads: noUploads,
      clock: systemClock,
      log: silentLog,
    });
    await vi.waitFor(async () => expect((await ask('exec', { body: { command: ['true'] } })).status).toBe(200), {
      timeout: 30_000,
      interval: 500,
    });
    await run('echo AFTER >/dev/console');
    await vi.waitFor(async () => expect(await text('log', '?tailLines=2')).toBe('LAST\r\nAFTER\r\n'), {
      timeout: 10_000,
      interval: 200,
    });
  });

  test('pictures show what is on the screen, a viewer what changes, and keys reach the guest', async () => {
    const before = await ask('screenshot');
    expect(before.bytes.toString('latin1', 1, 4)).toBe('PNG');
    const open = (query = '') =>
      new WebSocket(`${server.endpoint.url}${machinePath(uid, 'vnc')}${query}`, {
        headers: { authorization: authorization('vnc') },
        rejectUnauthorized: false,
      });
    await using first = await openRfb(createWebSocketStream(open()));
    await using second = await openRfb(createWebSocketStream(open('?readOnly=true')));
    expect([first.width, first.height]).toEqual([before.bytes.readUInt32BE(16), before.bytes.readUInt32BE(20)]);
    expect([second.width, second.height]).toEqual([first.width, first.height]);
    first.ask();
    const update = await first.update();
    expect(update.pixels).toHaveLength(update.width * update.height * 4);
    await run('for i in 1 2 3 4 5 6 7 8 9; do echo "seen on the screen $i"; done >/dev/tty1');
    await vi.waitFor(async () => expect((await ask('screenshot')).bytes.equals(before.bytes)).toBe(false), {
      timeout: 10_000,
      interval: 200,
    });
    await run('timeout 60 head -n 1 </dev/tty1 >/run/typed 2>/dev/null &');
    for (const key of [0x6e, 0x6f]) second.key(key);
    for (const key of [0x68, 0x69, 0xff0d]) first.key(key);
    await vi.waitFor(async () => expect((await run('cat /run/typed')).stdout).toBe('hi\n'), {
      timeout: 20_000,
      interval: 500,
    });
  });

  test('whatever stands in the place of the screen is not connected to, unless QEMU made it', async () => {
    const { vncSocket } = paths();
    expect(statSync(dirname(vncSocket)).mode & 0o777).toBe(0o700);
    (await hypervisor.openScreen(uid)).destroy();
    renameSync(vncSocket, `${vncSocket}.kept`);
    symlinkSync(host.socket, vncSocket);
    await expect(hypervisor.openScreen(uid)).rejects.toThrow(MachineError);
    rmSync(vncSocket);
    const other = createServer((socket) => socket.destroy());
    await new Promise<void>((resolve) => other.listen(vncSocket, resolve));
    await expect(hypervisor.openScreen(uid)).rejects.toThrow(MachineError);
    await new Promise((resolve) => other.close(resolve));
    renameSync(`${vncSocket}.kept`, vncSocket);
    (await hypervisor.openScreen(uid)).destroy();
  });

  test('nothing of it listens on the network', async () => {
    expect(await host.exec('ss', '-Hltn')).toBe('');
  });
});
