/** Volumes from the object to the guest: three real hosts whose GlusterFS keeps them, in the user's own commands. */
import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { VirtualMachine, Volume } from '#lib/api/generated/index.ts';
import { whyNoRealHost } from '../real-host.ts';
import { whyNot } from '../requires.ts';
import { must } from './local-cluster.ts';
import { commandOf, type Holdings, placeGuestImage, type RealCluster, startRealCluster } from './real-cluster.ts';

const apiVersion = 'computefactory.io/v1alpha1';
const namespace = 'studio';
const bootMs = 240_000;
const patiently = { timeout: 90_000, interval: 1_000 };
const why = whyNoRealHost() ?? whyNot(['gluster', 'glusterd', 'glusterfs', 'virsh', 'flock']);

describe.skipIf(why !== undefined)('volumes on three hosts', { timeout: 400_000 }, () => {
  let cluster: RealCluster;
  let before: Holdings;
  beforeAll(async () => {
    cluster = await startRealCluster({ hosts: 3, hostCpus: 2, hostMem: '512Mi' });
    await placeGuestImage(cluster.dir);
    await apply(
      { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } },
      { ...object('Image', 'tiny'), spec: { source: { file: { path: 'tiny.img' } } } },
    );
    await must(cluster.factoryctl('wait', 'img/tiny', '--for=condition=Ready', '-n', namespace, '--timeout=4m'));
    before = await cluster.holdings();
  }, 400_000);
  afterAll(async () => await cluster?.[Symbol.asyncDispose](), 120_000);

  const object = (kind: string, name: string) => ({ apiVersion, kind, metadata: { name, namespace } });
  const volume = (name: string, spec: object) => ({
    ...object('Volume', name),
    spec: {
      cluster: 'local',
      size: '20Mi',
      backend: { gluster: { volume: 'volumes' } },
      reclaimPolicy: 'Delete',
      ...spec,
    },
  });
  const pool = (name: string, mount: object) => {
    const placement = { cluster: 'local', antiAffinity: [{ key: 'host' }] };
    const size = { resources: { cores: 1, memory: '96Mi' }, image: { name: 'tiny' } };
    return {
      ...object('VMPool', name),
      spec: { replicas: 2, template: { spec: { ...size, placement, volumes: [mount] } } },
    };
  };
  async function apply(...items: readonly object[]): Promise<void> {
    const file = join(cluster.dir, 'volumes.json');
    writeFileSync(file, JSON.stringify({ apiVersion: 'v1', kind: 'List', items }));
    await must(cluster.factoryctl('apply', '-f', file));
  }
  const machine = (name: string) => cluster.client.get(VirtualMachine, { name, namespace });
  const healthOf = async (name: string) => {
    const { status } = await cluster.client.get(Volume, { name, namespace });
    return status?.conditions?.find(({ type }) => type === 'Healthy');
  };
  async function isReady(name: string): Promise<VirtualMachine> {
    await expect
      .poll(async () => cluster.consoleLog(await machine(name)), { timeout: bootMs })
      .toContain(`READY ${name}`);
    return await machine(name);
  }

  /** Without the third brick, and what other clusters of this computer have mounted meanwhile. */
  const own = ({ processes, mounts, ...rest }: Holdings) => ({
    ...rest,
    mounts: mounts.filter((mount) => mount.includes(cluster.dir)),
    processes: processes.filter((each) => !each.includes('gluster')),
  });

  test('a disk of an image is read by machines on two hosts and copied; what such volumes leave goes when somebody says so', async () => {
    const kept = { type: 'Disk', accessMode: 'ROX', size: '256Mi', reclaimPolicy: 'Retain' };
    await apply(
      volume('tools', { ...kept, sources: { image: { name: 'tiny' } } }),
      volume('copy', { ...kept, sources: { volume: { name: 'tools' } } }),
      pool('reader', { name: 'tools', volume: 'tools' }),
    );
    await must(cluster.factoryctl('wait', 'vmp/reader', '--for=condition=Ready', '-n', namespace, '--timeout=4m'));
    await must(cluster.factoryctl('wait', 'vol/copy', '--for=condition=Ready', '-n', namespace, '--timeout=2m'));
    const readers = [await isReady('reader-0'), await isReady('reader-1')];
    expect(readers[0]!.status?.attempt?.host).not.toBe(readers[1]!.status?.attempt?.host);
    for (const reader of readers) {
      // What they have started from is on it, too: vda is made of the same image.
      expect(await cluster.shell(reader, 'cmp -n 512 /dev/vda /dev/vdc && cat /sys/block/vdc/ro')).toMatch(/\n1\s/);
      expect(await cluster.shell(reader, 'echo x | dd of=/dev/vdc conv=fsync || echo REF"USED"')).toContain('REFUSED');
    }
    const uids = await Promise.all(
      ['tools', 'copy'].map(async (name) => (await cluster.client.get(Volume, { name, namespace })).metadata.uid),
    );
    await must(cluster.factoryctl('delete', 'vmp/reader', '-n', namespace));
    await must(cluster.factoryctl('delete', 'vol/tools', 'vol/copy', '-n', namespace));
    const gc = async (...args: string[]) => await must(cluster.factoryctl('gc', ...args));
    const found = async () => await gc();
    for (const uid of uids)
      await expect.poll(found, patiently).toMatch(new RegExp(`local +volumes +${uid} +Disk .*no Volume has this uid`));
    await gc(uids[0]!, '--confirm');
    await expect.poll(found, patiently).not.toContain(uids[0]);
    expect(await found()).toContain(uids[1]);
    await gc('--confirm');
    await expect.poll(found, patiently).toContain('Nothing was found');
    for (const { machineDir } of cluster.hosts)
      await vi.waitFor(() => expect(readdirSync(join(machineDir, 'volumes-brick/cf'))).toEqual([]), patiently);
  });

  test('machines on two hosts see one directory, and one of two has the disk', async () => {
    await apply(
      volume('scenes', {}),
      volume('cache', { type: 'Disk' }),
      pool('artist', { name: 'scenes', volume: 'scenes', mountPath: '/mnt/scenes' }),
      pool('cache', { name: 'cache', volume: 'cache' }),
    );
    await must(cluster.factoryctl('wait', 'vmp/artist', '--for=condition=Ready', '-n', namespace, '--timeout=4m'));
    for (const name of ['scenes', 'cache'])
      await must(cluster.factoryctl('wait', `vol/${name}`, '--for=condition=Ready', '-n', namespace, '--timeout=1m'));
    const [one, two] = [await isReady('artist-0'), await isReady('artist-1')];
    expect(one.status?.attempt?.host).not.toBe(two.status?.attempt?.host);
    await cluster.shell(one, 'echo from one >/mnt/scenes/a; sync');
    expect(await cluster.shell(two, 'cat /mnt/scenes/a')).toContain('from one');
    expect(await cluster.factoryctl('migrate', 'vm', 'artist-0', '-n', namespace)).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('artist-0 has volumes (scenes), and one with volumes cannot be moved as it runs'),
    });
    const writer = (await cluster.client.get(Volume, { name: 'cache', namespace })).status!.writer!;
    const [holder, other] = writer.name === 'cache-0' ? ['cache-0', 'cache-1'] : ['cache-1', 'cache-0'];
    const { stdout } = await cluster.factoryctl('why', `vm/${other}`, '-n', namespace);
    expect(stdout).toContain(`VolumesReady=False Waiting: Disk "cache" is held by machine "${holder}"`);
    await cluster.shell(await isReady(holder), 'echo kept | dd of=/dev/vdc conv=fsync');
    await must(cluster.factoryctl('delete', `vm/${holder}`, '-n', namespace));
    expect(await cluster.shell(await isReady(other), 'head -c 4 /dev/vdc')).toContain('kept');
  });

  test('a brick that is lost is seen in the condition, and why says so', async () => {
    await expect.poll(async () => await healthOf('scenes'), patiently).toMatchObject({ reason: 'Healthy' });
    const [, , third] = cluster.hosts;
    const pids = (await third!.exec('', 'sh', '-c', 'ip netns pids "$(ip netns identify $$)"'))
      .split('\n')
      .filter(Boolean);
    const brick = pids.find((pid) => /glusterfsd .*--volfile-id volumes\./.test(commandOf(pid)));
    process.kill(Number(brick), 'SIGKILL');
    await expect
      .poll(async () => await healthOf('scenes'), patiently)
      .toMatchObject({ status: 'False', reason: 'BrickDown' });
    const { stdout } = await cluster.factoryctl('why', 'vol/scenes', '-n', namespace);
    expect(stdout).toMatch(/Healthy=False BrickDown: .*2 of 3 bricks/);
  });

  test('when all is deleted, data and mounts are gone with it', async () => {
    await must(cluster.factoryctl('delete', 'vmp/artist', 'vmp/cache', '-n', namespace));
    await must(cluster.factoryctl('delete', 'vol/scenes', 'vol/cache', '-n', namespace));
    // The third brick was not there to hear of it.
    for (const { machineDir } of cluster.hosts.slice(0, 2))
      await vi.waitFor(() => expect(readdirSync(join(machineDir, 'volumes-brick/cf'))).toEqual([]), patiently);
    expect(own(await cluster.holdings())).toEqual(own(before));
  });
});
