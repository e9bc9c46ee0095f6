/** The verbs of factoryctl, end to end: what a user types, what is printed, and the exit code, against a local cluster with imitated machines. */
import { spawn } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { factoryKinds, VirtualMachine, VMPool } from '#lib/api/generated/index.ts';
import { annotations } from '#lib/api/names.ts';
import { type Answer, type LocalCluster, must, placeTinyImage, startLocalCluster } from './local-cluster.ts';

const namespace = 'verbs';
const apiVersion = 'computefactory.io/v1alpha1';

let cluster: LocalCluster;
beforeAll(async () => {
  cluster = await startLocalCluster({ hosts: 2, hostCpus: 8, hostMem: '16Gi' });
  placeTinyImage(cluster.dir);
}, 180_000);
afterAll(async () => {
  await cluster?.[Symbol.asyncDispose]();
}, 120_000);

const ctl = (...args: readonly string[]): Promise<Answer> => cluster.factoryctl(...args, '-n', namespace);
const done = (...args: readonly string[]) => must(ctl(...args));

/** Objects as one file of JSON documents, which YAML is a superset of. */
function file(name: string, ...objects: readonly object[]): string {
  const path = join(cluster.dir, name);
  writeFileSync(path, objects.map((object) => JSON.stringify(object)).join('\n---\n'));
  return path;
}

const object = (kind: string, name: string, spec: object) => ({
  apiVersion,
  kind,
  metadata: { name, namespace },
  spec,
});
const machine = (name: string, spec: object = {}) =>
  object('VirtualMachine', name, {
    resources: { cores: 1, memory: '128Mi' },
    image: { name: 'tiny' },
    networks: [{ subnet: 'net' }],
    terminationGracePeriod: '1s',
    ...spec,
  });
const factory = (name: string, target: number, cores: number, image = 'tiny') =>
  object('ComputeFactory', name, {
    capacity: { target },
    shapes: [{ cores, memory: '1Gi' }],
    template: { spec: { image: { name: image }, networks: [{ subnet: 'net' }] } },
  });

const base = () => [
  { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } },
  object('Subnet', 'net', { cidr: '10.9.0.0/24', releaseCooldown: '0s' }),
  object('Image', 'tiny', { source: { file: { path: 'tiny.img' } } }),
  object('Volume', 'scenes', { cluster: 'local', size: '1Gi', backend: { gluster: { volume: 'volumes' } } }),
  object('VMSnapshot', 'monday', { vm: 'nobody' }),
  object('VMRestore', 'again', { snapshot: 'monday', target: { newVM: 'again' } }),
  { apiVersion, kind: 'InstanceType', metadata: { name: 'small' }, spec: { cores: 1, memory: '128Mi' } },
  factory('fine', 2, 1),
];

describe('factoryctl', { timeout: 60_000 }, () => {
  test('local status and version', async () => {
    const status = await must(cluster.factoryctl('local', 'status', '--dir', cluster.dir));
    expect(status).toMatch(/PROGRAM +STATUS +PID +AGE\nkeeper +Running +\d+/);
    expect(status).toMatch(/Hosts +host-0 \(sim, 8 cores\), host-1 \(sim, 8 cores\)/);
    expect(await done('version')).toMatch(/^factoryctl +\d+\.\d+\.\d+\nserver +v1\.\d+\.\d+-factory\.\d+ +https:/);
    const nowhere = await cluster.factoryctl('version', '--kubeconfig', join(cluster.dir, 'none'));
    expect(nowhere.stdout).toContain('server      none: ');
  });

  test('apply: created, unchanged, configured', async () => {
    const path = file('base.yaml', ...base());
    const verdicts = async () =>
      (await done('apply', '-f', path))
        .trim()
        .split('\n')
        .map((line) => line.split(' ')[1]);
    expect(await verdicts()).toEqual(Array(base().length).fill('created'));
    expect(await verdicts()).toEqual(Array(base().length).fill('unchanged'));
    const changed = file('changed.yaml', factory('fine', 3, 1));
    expect(await done('apply', '-f', changed, '--dry-run')).toContain('fine configured (server dry run)');
    expect(await verdicts()).toEqual(Array(base().length).fill('unchanged'));
    expect(await done('apply', '-f', changed)).toContain('fine configured');
  });

  test('apply: bad input is told with file and line, and does not stop the rest', async () => {
    const broken = join(cluster.dir, 'broken.yaml');
    writeFileSync(broken, 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\nmetadata: {name: y}\n');
    expect(await ctl('apply', '-f', broken)).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('broken.yaml:4: '),
    });
    expect(await ctl('apply', '-f', '/no/such/file')).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('no such file'),
    });

    const mixed = file(
      'mixed.yaml',
      factory('negative', -1, 1),
      object('Subnet', 'odd', { cidr: '10.9.0.7/24' }),
      object('Unicorn', 'odd', {}),
      { ...machine('typo'), spec: { ...machine('typo').spec, imgae: 1 } },
      { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'good', namespace } },
    );
    const { code, stdout, stderr } = await ctl('apply', '-f', mixed);
    expect({ code, stdout }).toEqual({ code: 1, stdout: 'configmap/good created\n' });
    expect(stderr).toMatch(/mixed\.yaml:1: .*spec\.capacity\.target/);
    expect(stderr).toMatch(/mixed\.yaml:3: .*spec\.cidr.*10\.9\.0\.0\/24/);
    expect(stderr).toMatch(/mixed\.yaml:5: The server has no kind Unicorn/);
    expect(stderr).toMatch(/mixed\.yaml:7: .*imgae/);
  });

  test('wait: a condition, a path, an object that is not there, and not in time', async () => {
    expect(await done('wait', 'cf/fine', '--for=condition=Ready', '--timeout=60s')).toContain('condition met');
    expect(await done('wait', 'cf/fine', '--for=jsonpath=.status.capacity.ready=3', '--timeout=30s')).toContain(
      'condition met',
    );
    expect(await ctl('wait', 'cf/none', '--for=condition=Ready')).toMatchObject({ code: 1 });
    expect(await ctl('wait', 'cf/fine', '--for=condition=Paused', '--timeout=1s')).toMatchObject({
      code: 3,
      stderr: expect.stringContaining(`factoryctl why cf fine -n ${namespace}`),
    });
    expect(await ctl('wait', 'cf/fine', '--for=sunshine')).toMatchObject({ code: 2 });
  });

  test('get: wide, yaml, json, name, by label, of all namespaces, several kinds', async () => {
    expect(await done('get', 'cf')).toMatch(
      /^NAME +CAPACITY +READY +PROVISIONED +VMS +STATUS +AGE\nfine +3 cores +3 +3 +3 +Ready/,
    );
    expect(await done('get', 'vm', '-o', 'wide')).toMatch(
      / +AGE +CLUSTER +IMAGE +RESTARTS +HOSTNAME\nfine-local-1c-0 +Running +True +host-\d/,
    );
    expect(JSON.parse(await done('get', 'cf/fine', '-o', 'json'))).toMatchObject({
      apiVersion,
      kind: 'ComputeFactory',
    });
    expect(await done('get', 'cf', 'fine', '-o', 'yaml')).toMatch(
      /^apiVersion: computefactory\.io\/v1alpha1\nkind: ComputeFactory\n/,
    );
    expect(await done('get', 'vmp', '-o', 'name')).toBe('vmpool.computefactory.io/fine-local-1c\n');
    expect((await done('get', 'vm', '-l', 'computefactory.io/factory=fine')).split('\n')).toHaveLength(5);
    expect(await ctl('get', 'vm', '-l', 'computefactory.io/factory=other')).toMatchObject({ code: 0, stdout: '' });
    expect(await must(cluster.factoryctl('get', 'cf', '-A'))).toMatch(/^NAMESPACE +NAME[^\n]+\nverbs +fine/);
    expect(await done('get', 'vm', 'fine-local-1c-0', 'fine-local-1c-1')).toMatch(
      /^NAME[^\n]+\nfine-local-1c-0[^\n]+\nfine-local-1c-1[^\n]+\n$/,
    );
    expect(await done('get', 'cf,sn')).toMatch(
      /computefactory\.computefactory\.io\/fine[^\n]+\n\nNAME[^\n]+\nsubnet\.computefactory\.io\/net/,
    );
    expect(await ctl('get', 'cf', 'none')).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('"none" not found'),
    });
    expect(await ctl('get', 'unicorns')).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('no kind "unicorns"'),
    });
  });

  test('get -w shows every change', async () => {
    const watching = spawn(join(import.meta.dirname, '../../bin/factoryctl'), ['get', 'cf', '-w', '-n', namespace], {
      env: { ...process.env, KUBECONFIG: cluster.kubeconfig },
    });
    let seen = '';
    watching.stdout.on('data', (chunk: Buffer) => {
      seen += chunk.toString();
    });
    try {
      await expect.poll(() => seen, { timeout: 20_000 }).toMatch(/fine +3 cores +3 +3 /);
      expect(await done('scale', 'cf/fine', '--replicas=2')).toContain('scaled');
      await expect.poll(() => seen, { timeout: 20_000 }).toMatch(/fine +2 cores +2 +2 /);
    } finally {
      watching.kill();
    }
  });

  test('describe shows spec, conditions and events', async () => {
    const text = await done('describe', 'cf', 'fine');
    expect(text).toMatch(/^Name: +fine\nNamespace: +verbs\nKind: +ComputeFactory\n/);
    expect(text).toMatch(/TYPE +STATUS +REASON +AGE +MESSAGE\n +Ready +True +CapacityReady/);
    expect(text).toMatch(/Events:\n +TYPE +REASON.*ScaledUp/s);
  });

  test('why: what is wrong, and nothing where nothing is', async () => {
    const path = file(
      'troubled.yaml',
      machine('no-image', { image: { name: 'nope' } }),
      machine('no-subnet', { networks: [{ subnet: 'nope' }] }),
      factory('too-large', 100, 50),
    );
    await done('apply', '-f', path);
    await done('wait', 'vm/no-image', '--for=condition=ImageReady=False', '--timeout=30s');
    await done('wait', 'vm/no-subnet', '--for=condition=NetworkReady=False', '--timeout=30s');
    await done('wait', 'cf/too-large', '--for=jsonpath=.status.displayStatus=Unfulfilled', '--timeout=60s');
    const noImage = await ctl('why', 'vm', 'no-image');
    expect(noImage.code).toBe(1);
    expect(noImage.stdout).toContain('ImageReady=False NotFound: Image "verbs/nope" does not exist');
    expect(noImage.stdout).toContain('image.computefactory.io/nope: there is no such object in namespace verbs');
    const noSubnet = await ctl('why', 'vm/no-subnet');
    expect(noSubnet.stdout).toContain('NetworkReady=False NotFound: Subnet "nope" does not exist');
    expect(noSubnet.stdout).toContain('subnet.computefactory.io/nope: there is no such object');
    const large = await ctl('why', 'cf', 'too-large');
    expect(large.code).toBe(1);
    expect(large.stdout).toMatch(
      /Fulfilled=False InsufficientCapacity: 100 cores \(2 VMs\) unfulfilled: local: 2 hosts: 2 short of cores \(largest free \d\)/,
    );
    expect(large.stdout).toContain('virtualmachine.computefactory.io/too-large-local-50c-1');
    const fine = ['cf/fine', 'img/tiny', 'sn/net', 'host/local-host-0', 'mc/local', 'vm/fine-local-1c-0'];
    expect(await ctl('why', ...fine, 'it/small')).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('is as asked'),
    });
    await done('delete', '-f', path);
  });

  test('start, stop, restart under Manual and Always', async () => {
    const path = file('machines.yaml', machine('manual', { runPolicy: 'Manual' }), machine('always'));
    await done('apply', '-f', path);
    await done('wait', 'vm/always', '--for=condition=Ready', '--timeout=60s');
    await done('wait', 'vm/manual', '--for=jsonpath=.status.phase=Stopped', '--timeout=60s');
    expect(await done('start', 'vm', 'manual', '--timeout=40s')).toContain('manual started');
    await done('wait', 'vm/manual', '--for=jsonpath=.status.phase=Running', '--timeout=30s');
    expect(await done('restart', 'vm', 'manual', 'always', '--timeout=40s')).toMatch(
      /manual restarted\n.*always restarted/,
    );
    expect(await ctl('stop', 'vm', 'always')).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('set runPolicy: Halted or Manual'),
    });
    expect(await done('stop', 'vm', 'manual', '--timeout=40s')).toContain('manual stopped');
    await done('wait', 'vm/manual', '--for=jsonpath=.status.phase=Stopped', '--timeout=30s');
    expect(await done('get', 'vm', 'manual')).toMatch(/manual +Stopped +True/);
    expect(await ctl('start', 'vm', 'nobody')).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('No VirtualMachine is called "nobody"'),
    });
    expect(await ctl('stop', 'cf', 'fine')).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('Only machines'),
    });
  }, 180_000);

  test('cordon, drain, uncordon: a host is emptied, as its machines and their pool allow', async () => {
    const at = { namespace, name: 'fine-local-1c-0' };
    const host = async () => `local-${(await cluster.client.get(VirtualMachine, at)).status?.attempt?.host}`;
    await cluster.client.patch(VMPool, { namespace, name: 'fine-local-1c' }, { spec: { minAvailable: 1 } });
    const protect = (value: string | null) =>
      cluster.client.patch(VirtualMachine, at, {
        metadata: { annotations: { [annotations.scaleInProtection]: value } },
      });
    const first = await host();
    await protect('true');
    expect(await cluster.factoryctl('drain', first, '--reason=new disks', '--wait=3s')).toMatchObject({
      code: 3,
      stdout: `host.computefactory.io/${first} draining\n`,
      stderr: expect.stringMatching(
        /The host is drained: new disks. .*fine-local-1c-0: .*scale-in-protection to be removed/,
      ),
    });
    await protect(null);
    expect(await must(cluster.factoryctl('drain', 'host', first, '--wait=50s'))).toMatch(/ drained\n$/);
    await done('wait', 'cf/fine', '--for=condition=Ready', '--timeout=30s');
    expect(await host()).not.toBe(first);
    expect(await must(cluster.factoryctl('uncordon', `host/${first}`))).toBe(
      `host.computefactory.io/${first} uncordoned\n`,
    );
    await must(cluster.factoryctl('wait', `host/${first}`, '--for=condition=Ready', '--timeout=30s'));
    await must(cluster.factoryctl('cordon', first));
    await must(cluster.factoryctl('wait', `host/${first}`, '--for=condition=Ready=False', '--timeout=30s'));
    await must(cluster.factoryctl('uncordon', first));
    expect(await cluster.factoryctl('drain', 'vm/fine')).toMatchObject({ code: 2 });
  }, 120_000);

  test('the table of every kind lines up and leaves no cell unreadable', async () => {
    for (const { shortNames, singular, kind } of factoryKinds) {
      const text = await done('get', shortNames[0] ?? singular, '-o', 'wide');
      const lines = text.trimEnd().split('\n');
      expect(lines.length, `${kind} has no rows:\n${text}`).toBeGreaterThan(1);
      // Columns are three or more spaces apart, so every header word starts where its cells start.
      const starts = [...lines[0]!.matchAll(/\S+(?: \S+)*/g)].map(({ index }) => index);
      for (const line of lines)
        for (const start of starts.slice(1)) expect(line.slice(start - 3, start).trim(), `${kind}:\n${text}`).toBe('');
      expect(text).not.toMatch(/undefined|\[object|<unknown>|NaN/);
    }
  });

  test('what is seen of the inside of an imitated machine: its log, its screen, no agent', async () => {
    const [vm] = (await cluster.client.list(VirtualMachine, { namespace })).items.filter(
      ({ status }) => status?.phase === 'Running',
    );
    const { name } = vm!.metadata;
    expect(await done('log', name)).toContain(`READY ${vm!.status!.hostname}`);
    expect(await done('log', `vm/${name}`, '--tail', '1')).toContain('login: ');
    const picture = join(cluster.dir, 'screen.png');
    expect(await done('screenshot', name, '-o', picture)).toContain('320 x 200 pixels');
    expect(readFileSync(picture).toString('latin1', 1, 4)).toBe('PNG');
    expect(await cluster.factoryctl('exec', name, '-n', namespace, '--', 'true')).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('Cannot run the command: The guest agent is not connected'),
    });
    expect(await ctl('log', 'nobody')).toMatchObject({ code: 1, stderr: expect.stringContaining('not found') });
    expect(await ctl('exec', name)).toMatchObject({ code: 2 });
    expect(await ctl('vnc', 'nobody')).toMatchObject({ code: 1 });
  });

  test('migrate: a machine goes to the other host as it runs; one that does not run is refused', async () => {
    const at = { namespace, name: 'always' };
    const before = (await cluster.client.get(VirtualMachine, at)).status;
    expect(await done('migrate', 'vm', 'always', '--timeout=60s')).toContain('always migrated');
    const { status } = await cluster.client.get(VirtualMachine, at);
    expect(status?.attempt?.host).not.toBe(before?.attempt?.host);
    expect(status?.phase).toBe('Running');
    expect(status?.phaseTransitions).toEqual(before?.phaseTransitions);
    expect(status?.attempts?.at(-1)).toMatchObject({ outcome: 'Migrated', host: before?.attempt?.host });
    expect(await ctl('migrate', 'vm', 'manual')).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('does not run (Stopped)'),
    });
    expect(await ctl('migrate', 'vm', 'always', '--force')).toMatchObject({ code: 2 });
  }, 120_000);

  test('delete returns when all is gone; console of what is not there is refused once', async () => {
    const refusal = await ctl('console', 'vm', 'nobody');
    expect({ code: refusal.code, lines: refusal.stderr.trim().split('\n').length }).toEqual({ code: 1, lines: 1 });
    expect(await done('delete', 'cf', 'fine', '--cascade=foreground')).toContain('fine deleted');
    expect(await done('get', 'cf,vmp', '-o', 'name')).toBe('');
    expect(await ctl('delete', 'cf', 'fine')).toMatchObject({ code: 1, stderr: expect.stringContaining('not found') });
    expect(await ctl('delete', 'cf', 'fine', '--ignore-not-found')).toMatchObject({ code: 0 });
    expect(await done('delete', '-f', file('again.yaml', ...base()))).toContain(`namespace/${namespace} deleted`);
  }, 120_000);
});
