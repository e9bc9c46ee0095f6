/** A file of a user's, uploaded through real processes that are killed in the middle of it, converted by the real qemu-img, and booted. */
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { closeSync, openSync, readdirSync, readFileSync, statSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { runningProcess } from '#cli/local/keeper.ts';
import { marker } from '#cli/local/programs.ts';
import { localPaths } from '#cli/local/settings.ts';
import { Image, VirtualMachine } from '#lib/api/generated/index.ts';
import { isCode } from '#lib/std/errors.ts';
import { processesMarked, signalProcess } from '#lib/std/process-identity.ts';
import { whyNot } from '../requires.ts';
import { type LocalCluster, must, startLocalCluster } from './local-cluster.ts';

const namespace = 'studio-a';
const mib = 2 ** 20;
const sizeMib = 384;

const missing = whyNot(['qemu-img']);
let cluster: LocalCluster;
let file: string;
beforeAll(async () => {
  if (missing !== undefined) return;
  cluster = await startLocalCluster({ hosts: 2, hostCpus: 8, hostMem: '16Gi' });
  await must(cluster.kubectl('create', 'namespace', namespace));
  const raw = join(cluster.dir, 'disk.raw');
  const out = openSync(raw, 'w');
  const piece = randomBytes(mib);
  for (let at = 0; at < sizeMib; at++) {
    piece.writeUInt32LE(at);
    writeSync(out, piece);
  }
  closeSync(out);
  file = join(cluster.dir, 'disk.vmdk');
  execFileSync('qemu-img', ['convert', '-f', 'raw', '-O', 'vmdk', raw, file]);
}, 180_000);
afterAll(async () => {
  await cluster?.[Symbol.asyncDispose]();
}, 120_000);

const ctl = (...args: readonly string[]) => cluster.factoryctl(...args, '-n', namespace);
const image = (name: string) => cluster.client.get(Image, { namespace, name });

/** Directories of uploads that are not imported yet. */
function incoming(): readonly string[] {
  try {
    return readdirSync(join(localPaths(cluster.dir).images, 'incoming'));
  } catch {
    return [];
  }
}

/** Resolves when so much of the only upload is in the store. */
async function untilReceived(atLeastMib: number): Promise<void> {
  const sizes = () =>
    incoming().map((name) => {
      const source = join(localPaths(cluster.dir).images, 'incoming', name, 'source');
      return statSync(source, { throwIfNoEntry: false })?.size ?? 0;
    });
  await vi.waitFor(() => expect(Math.max(0, ...sizes())).toBeGreaterThan(atLeastMib * mib), {
    ...{ timeout: 90_000, interval: 5 },
  });
}

function killWorkers(): number {
  const workers = processesMarked(marker, cluster.dir).filter(({ pid }) => {
    try {
      return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('executor/worker.ts');
    } catch {
      return false;
    }
  });
  return workers.filter(({ pid }) => signalProcess(pid, 'SIGKILL')).length;
}

const apiServer = () => runningProcess(cluster.dir, 'apiserver')?.pid;

test.skipIf(missing !== undefined)(
  'kill -9 of the executors and of the API server in the middle of an upload costs no more than time',
  { timeout: 240_000 },
  async () => {
    const uploading = ctl('upload', 'image', 'disk', '--file', file);
    await untilReceived(60);
    expect(killWorkers()).toBeGreaterThanOrEqual(1);
    await untilReceived(150);
    expect(signalProcess(apiServer()!, 'SIGKILL')).toBe(true);
    const { code, stdout, stderr } = await uploading;
    expect({ code, stderr: code === 0 ? '' : stderr }).toEqual({ code: 0, stderr: '' });
    // It ends when the cluster's row is Ready. What that means for the Image another one writes.
    const ready = { phase: 'Ready', format: 'qcow2', virtualSize: sizeMib * mib };
    await expect.poll(async () => (await image('disk')).status, { timeout: 30_000 }).toMatchObject(ready);
    const { status } = await image('disk');
    expect(stdout).toContain(`image.computefactory.io/disk is Ready in local: sha256 ${status?.digest}`);
    const stored = join(localPaths(cluster.dir).images, status!.digest!);
    const compared = execFileSync('qemu-img', ['compare', '-f', 'qcow2', '-F', 'vmdk', stored, file]).toString();
    expect(compared).toContain('Images are identical');
    expect(incoming()).toEqual([]);
    const again = await ctl('upload', 'image', 'disk', '--file', file);
    expect(again).toMatchObject({ code: 1, stderr: expect.stringContaining('image disk is Ready already') });
  },
);

test.skipIf(missing !== undefined)(
  'a machine boots from an image that was uploaded, by the name of its family, and keeps it',
  { timeout: 180_000 },
  async () => {
    const machine = (name: string) =>
      cluster.client.create(VirtualMachine, {
        ...{ apiVersion: 'computefactory.io/v1alpha1', kind: 'VirtualMachine', metadata: { name, namespace } },
        spec: { resources: { cores: 1, memory: '128Mi' }, image: { family: 'disks' } },
      } as never);
    const imageOf = async (name: string) => {
      await must(ctl('wait', `vm/${name}`, '--for=condition=Ready', '--timeout=60s'));
      return (await cluster.client.get(VirtualMachine, { namespace, name })).status?.image?.name;
    };
    await must(
      cluster.kubectl(
        'patch',
        'img',
        'disk',
        '-n',
        namespace,
        '--type',
        'merge',
        '-p',
        '{"spec": {"family": "disks"}}',
      ),
    );
    await machine('first');
    expect(await imageOf('first')).toBe('disk');
    const small = join(cluster.dir, 'small.qcow2');
    execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', small, '8M']);
    await must(ctl('upload', 'image', 'disk-2', '--file', small, '--family', 'disks'));
    expect(await must(ctl('get', 'images', '-o', 'wide'))).toMatch(/disk-2 .* disks /);
    await machine('second');
    expect([await imageOf('second'), await imageOf('first')]).toEqual(['disk-2', 'disk']);
    await must(
      cluster.kubectl(
        'patch',
        'img',
        'disk-2',
        '-n',
        namespace,
        '--type',
        'merge',
        '-p',
        '{"spec": {"deprecated": true}}',
      ),
    );
    await machine('third');
    expect([await imageOf('third'), await imageOf('second')]).toEqual(['disk', 'disk-2']);
  },
);

test.skipIf(missing !== undefined)(
  'with the Image goes what was uploaded for it, and who was sending is told',
  { timeout: 180_000 },
  async () => {
    const uploading = ctl('upload', 'image', 'gone', '--file', file);
    await untilReceived(60);
    await cluster.client.delete(Image, { namespace, name: 'gone' });
    await vi.waitFor(
      async () => {
        const error = await image('gone').catch((reason: unknown) => reason);
        expect(isCode(error, 'NotFound')).toBe(true);
      },
      { timeout: 30_000, interval: 200 },
    );
    expect((await uploading).code).toBe(1);
    await vi.waitFor(() => expect(incoming()).toEqual([]), { timeout: 90_000, interval: 500 });
  },
);
