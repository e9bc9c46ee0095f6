import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempDisposableSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { identifyProcess, isRunning, processesMarked } from '#lib/std/process-identity.ts';
import { runningProcess, startDetached } from './keeper.ts';
import { whyTooLong } from './libvirt-here.ts';
import { programsOf, storeServers } from './programs.ts';
import { decideSettings, type LocalOptions, localPaths, requireSameOptions } from './settings.ts';

const options = (dir: string): LocalOptions => ({
  dir,
  port: 6443,
  hosts: 2,
  hostCpus: 48,
  hostMem: '96Gi',
  store: 'sqlite',
  mesos: 'local',
  hypervisor: 'auto',
});

describe('decideSettings', () => {
  test('auto adds one small real host where libvirt can run', async () => {
    const { hosts, imitated } = await decideSettings(options('/x'), undefined, undefined);
    expect(hosts.map(({ name, hypervisor }) => [name, hypervisor])).toEqual([
      ['host-0', 'sim'],
      ['host-1', 'sim'],
      ['metal-0', 'libvirt'],
    ]);
    expect(imitated).toBeUndefined();
  });

  test('auto says why machines are imitated where it cannot', async () => {
    const { hosts, imitated } = await decideSettings(options('/x'), 'bridges need root.', undefined);
    expect(hosts.map(({ hypervisor }) => hypervisor)).toEqual(['sim', 'sim']);
    expect(imitated).toBe('Machines are imitated: bridges need root.');
  });

  test('libvirt is refused with the reason where it cannot', async () => {
    await expect(
      decideSettings({ ...options('/x'), hypervisor: 'libvirt' }, 'bridges need root.', undefined),
    ).rejects.toThrow('Cannot use --hypervisor libvirt: bridges need root.');
  });

  test('three real hosts keep three copies of images where GlusterFS is, and say why not where it is not', async () => {
    const lab = { ...options('/x'), hosts: 4, hypervisor: 'libvirt' } as const;
    const settings = await decideSettings(lab, undefined, undefined);
    expect(settings).toMatchObject({ imageStore: 'gluster' });
    expect(storeServers(settings)).toEqual(
      ['host-0', 'host-1', 'host-2'].map((name, n) => ({ name, address: `198.18.0.${n + 1}` })),
    );
    expect(programsOf(settings).map(({ name }) => name)).toContain('image-store');
    const single = await decideSettings(lab, undefined, 'glusterd not found.');
    expect(single.singleStore).toBe('Images are kept once, in a directory that all hosts share: glusterd not found.');
    for (const fewer of [single, await decideSettings({ ...lab, hosts: 2 }, undefined, undefined)]) {
      expect(fewer.imageStore).toBeUndefined();
      expect(storeServers(fewer)).toEqual([]);
      expect(programsOf(fewer).map(({ name }) => name)).not.toContain('image-store');
    }
  });

  test('gives every host a port of its own', async () => {
    const { hosts, masterPort } = await decideSettings({ ...options('/x'), hosts: 50 }, 'no', 'no');
    expect(new Set([masterPort, ...hosts.map(({ port }) => port)]).size).toBe(51);
  });
});

test('a directory too long for the sockets of machines is told, one that is just short enough is not', () => {
  expect(whyTooLong(`/${'d'.repeat(62)}`)).toBeUndefined();
  expect(whyTooLong(`/${'d'.repeat(64)}`)).toMatch(/ 2 bytes too long .* shorter --dir/);
});

test('requireSameOptions refuses other options for a cluster that is there, and only those', async () => {
  const settings = await decideSettings(options('/x'), 'no', 'no');
  expect(() => requireSameOptions(settings, { hosts: 2, port: 6443 })).not.toThrow();
  expect(() => requireSameOptions(settings, { hosts: 3 })).toThrow('was made with hosts 2, not 3');
});

test('an agent offers the cores of its guests and the share of the executor', async () => {
  const settings = await decideSettings(options('/x'), 'no', 'no');
  const agent = programsOf(settings).find(({ name }) => name === 'agent-host-0')!;
  expect(agent.command.join(' ')).toMatch(/cpus:48\.5;mem:101807;disk:/);
});

describe('startDetached', () => {
  test('records who was started, and finds it by the marker in its environment', async () => {
    using folder = mkdtempDisposableSync(join(tmpdir(), 'cf-local-'));
    mkdirSync(localPaths(folder.path).run, { recursive: true });
    const marker = { CF_TEST_MARKER: folder.path };
    const started = startDetached(folder.path, {
      name: 'sleeper',
      command: [process.execPath, '-e', 'setInterval(() => {}, 1000)'],
      environment: marker,
      log: join(folder.path, 'log'),
    });
    expect(runningProcess(folder.path, 'sleeper')).toEqual(started);
    expect(processesMarked('CF_TEST_MARKER', folder.path)).toContainEqual(started);
    process.kill(started!.pid, 'SIGKILL');
    await expect.poll(() => runningProcess(folder.path, 'sleeper')).toBeUndefined();
  });

  test('a program that cannot be started says so in its log', async () => {
    using folder = mkdtempDisposableSync(join(tmpdir(), 'cf-local-'));
    mkdirSync(localPaths(folder.path).run, { recursive: true });
    const log = join(folder.path, 'log');
    startDetached(folder.path, { name: 'none', command: ['/no/such/program'], environment: {}, log });
    await expect.poll(() => readFileSync(log, 'utf8')).toContain('Cannot start /no/such/program');
    expect(runningProcess(folder.path, 'none')).toBeUndefined();
  });

  test('a process that has the pid of a recorded one but another start is not it', async () => {
    using folder = mkdtempDisposableSync(join(tmpdir(), 'cf-local-'));
    mkdirSync(localPaths(folder.path).run, { recursive: true });
    const child = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)']);
    await once(child, 'spawn');
    const identity = identifyProcess(child.pid!)!;
    writeFileSync(
      join(localPaths(folder.path).run, 'x.json'),
      JSON.stringify({ ...identity, startTime: identity.startTime - 1 }),
    );
    expect(runningProcess(folder.path, 'x')).toBeUndefined();
    expect(isRunning(identity)).toBe(true);
    child.kill('SIGKILL');
  });
});
