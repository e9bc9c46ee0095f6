/** A snapshot, a machine made of it, and a clone, end to end: through factoryctl, the API server, Mesos and a real guest. */
import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { localPaths } from '#cli/local/settings.ts';
import { VirtualMachine, VMSnapshot } from '#lib/api/generated/index.ts';
import { whyNoRealHost } from '../real-host.ts';
import { must, samples } from './local-cluster.ts';
import { type Holdings, placeGuestImage, type RealCluster, startRealCluster } from './real-cluster.ts';

const namespace = 'studio-a';
const inStudio = ['-n', namespace];

describe.skipIf(whyNoRealHost())('a snapshot of a real machine', { timeout: 300_000 }, () => {
  let cluster: RealCluster;
  let atFirst: Holdings;
  beforeAll(async () => {
    cluster = await startRealCluster({ hosts: 1, hostCpus: 4, hostMem: '2Gi' });
    await placeGuestImage(cluster.dir);
    atFirst = await cluster.holdings();
  }, 300_000);
  afterAll(async () => {
    await cluster?.[Symbol.asyncDispose]();
  }, 120_000);

  const machine = (name: string) => cluster.client.get(VirtualMachine, { name, namespace });
  const stored = () => readdirSync(localPaths(cluster.dir).images).filter((name) => /^[0-9a-f]{64}$/.test(name));

  async function apply(name: string, ...objects: readonly object[]): Promise<void> {
    const file = join(cluster.dir, `${name}.json`);
    const items = objects.map((each) => ({ apiVersion: 'computefactory.io/v1alpha1', ...each }));
    writeFileSync(file, JSON.stringify({ apiVersion: 'v1', kind: 'List', items }));
    await must(cluster.factoryctl('apply', '-f', file));
  }
  const wait = async (what: string, ready: string) =>
    await must(cluster.factoryctl('wait', what, `--for=${ready}`, ...inStudio, '--timeout=3m'));
  const at = (name: string) => ({ name, namespace });
  const booted = async (name: string) => {
    const vm = await machine(name);
    await expect.poll(() => cluster.consoleLog(vm), { timeout: 120_000 }).toContain(`READY ${name} ${vm.status?.ip}`);
    return vm;
  };
  const marked = async (vm: VirtualMachine) => await cluster.shell(vm, 'cat /data/mark');
  /** What the guest knows itself by. */
  const self = async (vm: VirtualMachine) =>
    JSON.parse(/\{"hostname".*\}/.exec(await cluster.shell(vm, 'wget -qO- http://127.0.0.1/'))![0]);

  test('shows the old mark in a new machine and in a clone, each with an identity of its own', async () => {
    const files = ['00-namespace', '10-subnet', '20-image'].flatMap((name) => ['-f', join(samples, `${name}.yaml`)]);
    await must(cluster.factoryctl('apply', ...files));
    const spec = {
      ...{ image: { name: 'tiny' }, resources: { cores: 1, memory: '128Mi' }, networks: [{ subnet: 'studio-a' }] },
      terminationGracePeriod: '5s',
    };
    await apply('web', { kind: 'VirtualMachine', metadata: at('web'), spec });
    await wait('vm/web', 'condition=GuestAgentConnected');
    const web = await booted('web');
    const before = await self(web);
    // In the guest's memory still.
    await cluster.shell(web, 'echo old > /data/mark');
    // In any order: what waits for something says so, and goes on.
    await apply(
      'snapshot',
      { kind: 'VMRestore', metadata: at('r'), spec: { snapshot: 's', target: { newVM: 'copy' } } },
      { kind: 'VMSnapshot', metadata: at('s'), spec: { vm: 'web', consistency: 'Quiesced' } },
    );
    await wait('vmsnap/s', 'condition=Ready');
    await cluster.shell(web, 'echo new > /data/mark; sync');
    await wait('vmrestore/r', 'condition=Ready');
    const copy = await booted('copy');
    expect([await marked(copy), await marked(web)]).toEqual([
      expect.stringContaining('old'),
      expect.stringContaining('new'),
    ]);
    expect(await self(web)).toEqual(before);
    const own = await self(copy);
    expect(own).toMatchObject({ hostname: 'copy', instance: copy.metadata.uid, address: copy.status?.ip });
    for (const [field, value] of Object.entries(before).filter(([name]) => name !== 'boots'))
      expect([field, own[field]]).not.toEqual([field, value]);
    expect(copy.status?.networks?.[0]?.mac).not.toBe(web.status?.networks?.[0]?.mac);
    expect((await must(cluster.factoryctl('get', 'vmsnap', ...inStudio))).split('\n')[1]).toMatch(
      /^s +web +Ready +Quiesced +\d+/,
    );
    expect(await must(cluster.factoryctl('why', 'vmsnap', 's', ...inStudio))).toMatch(/as asked/);

    await apply('clone', {
      kind: 'VMOperation',
      metadata: at('op'),
      spec: { vm: 'web', type: 'Clone', target: 'twin' },
    });
    await expect
      .poll(async () => (await cluster.factoryctl('get', 'vmop', 'op', ...inStudio)).stdout, {
        timeout: 120_000,
        interval: 1000,
      })
      .toMatch(/Completed/);
    const twin = await booted('twin');
    expect(await marked(twin)).toContain('new');
  });

  test('is kept while machines stand on it, and nothing is left when they are gone', async () => {
    const { status } = await cluster.client.get(VMSnapshot, at('s'));
    expect(stored()).toContain(status!.disks![0]!.digest);
    await must(cluster.factoryctl('delete', 'vmsnap', 's', ...inStudio, '--no-wait'));
    await expect
      .poll(async () => (await cluster.factoryctl('why', 'vmsnap', 's', ...inStudio)).stdout, { timeout: 30_000 })
      .toMatch(/DeletionBlocked=True InUse: .*snapshot-s/);
    expect(stored()).toContain(status!.disks![0]!.digest);
    await must(cluster.factoryctl('delete', 'vmop', 'op', ...inStudio));
    await must(cluster.factoryctl('delete', 'vm', 'copy', 'twin', 'web', ...inStudio));
    await expect
      .poll(async () => (await cluster.client.list(VMSnapshot, { namespace })).items.length, { timeout: 90_000 })
      .toBe(0);
    // The image of the sample, and what nobody has asked for but this test.
    expect(stored()).toHaveLength(1);
    expect(readdirSync(join(localPaths(cluster.dir).images, 'snapshots'))).toEqual([]);
    const { machineFiles, domains } = await cluster.holdings();
    expect({ machineFiles, domains }).toEqual({ machineFiles: atFirst.machineFiles, domains: atFirst.domains });
  });
});
