/**
 * Disks made to read this host's files or to reach its network, through all that is done with disks: making a machine's (also a clone's) on an
 * image, starting on it, copying it for a snapshot, putting one back and making it larger; and a seed with whatever users write. What is opened
 * and connected to on the way is what strace sees, not what any of it answers. Import has its own: ../images/hostile.test.ts.
 */
import { execFileSync } from 'node:child_process';
import { randomBytes, randomUUID } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { mkdtempDisposable } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { whyNot } from '#test/requires.ts';

const size = 2 ** 20;
const executor = join(import.meta.dirname, '..');
const modules = ['disks/disks.ts', 'disks/copies.ts', 'disks/own-disk.ts', 'volumes/hand/directories.ts'];

/** Each step alone, whatever became of the ones before. Prints what each says. */
const child = `
  import { readFileSync } from 'node:fs';
  const [{ makeDisks }, { diskCopies }, { readOwnDisk }, { requireVolume }] =
    await Promise.all(process.argv[1].split(',').map((each) => import(each)));
  const { root, sample, format, uids, size, seed, gluster, volume } = JSON.parse(readFileSync(0, 'utf8'));
  const copies = diskCopies(root);
  const limits = { deadlineMs: 20000, signal: AbortSignal.timeout(40000) };
  const image = { path: sample, format };
  const steps = {
    make: () => makeDisks(root, { uid: uids.make, image, rootDiskBytes: 2 * size, seed }),
    start: () => readOwnDisk(root + '/vms/' + uids.used + '/root.qcow2', { paths: ['/images/x'], format: 'qcow2' }),
    attach: () => requireVolume(gluster, volume),
    snapshot: async () => {
      await copies.copy(uids.used, limits.signal);
      await copies.flatten({ uid: uids.used, snapshot: uids.make, image, whole: false }, root + '/flat', limits);
    },
    whole: () => copies.flatten({ uid: uids.used, snapshot: uids.make, image, whole: true }, root + '/flat', limits),
    restore: () => copies.prepare(uids.used, sample, 2 * size, limits.signal),
  };
  const said = {};
  for (const [name, step] of Object.entries(steps)) said[name] = await step().then(() => 'done', ({ message }) => 'refused: ' + message);
  console.log(JSON.stringify(said));
`;

async function openWorld() {
  const directory = await mkdtempDisposable(join(tmpdir(), 'cf-'));
  const root = join(directory.path, 'root');
  const uids = { make: randomUUID(), used: randomUUID() };
  const volume = { uid: randomUUID(), installation: 'i', type: 'Disk', glusterVolume: 'vm', bytes: size } as const;
  const gluster = join(directory.path, 'gluster');
  const [own, onGluster] = [join(root, 'vms', uids.used), join(gluster, 'cf', volume.uid)];
  for (const path of [own, onGluster]) mkdirSync(path, { recursive: true });
  writeFileSync(join(onGluster, 'volume.json'), JSON.stringify({ uid: volume.uid, installation: 'i', type: 'Disk' }));
  writeFileSync(join(root, 'flat'), '');
  const canary = join(directory.path, 'canary');
  const content = randomBytes(65_536);
  writeFileSync(canary, content);
  const sample = join(directory.path, 'sample');
  return {
    ...{ root, canary, content, sample, uids },
    /** The sample stands as an image, as a machine's disk and as a Disk of a Volume. */
    run(format: 'qcow2' | 'raw', seed: object = { label: 'cidata', files: {} }) {
      // Making a sample may have emptied it.
      writeFileSync(canary, content);
      for (const path of [join(own, 'root.qcow2'), join(onGluster, 'disk.qcow2')])
        writeFileSync(path, readFileSync(sample));
      const trace = join(directory.path, 'trace');
      const told = { root, sample, format, uids, size, seed, gluster, volume };
      const node = [process.execPath, '--input-type=module', '-e', child];
      const args = [modules.map((name) => join(executor, name)).join(',')];
      const options = ['-f', '-o', trace, '-s', '4096', '-e', 'trace=%file,connect'];
      const said = execFileSync('strace', [...options, ...node, ...args], {
        input: JSON.stringify(told),
        encoding: 'utf8',
      });
      return { said: JSON.parse(said) as Record<string, string>, trace: readFileSync(trace, 'utf8') };
    },
    [Symbol.asyncDispose]: async () => await directory.remove(),
  };
}

type World = Awaited<ReturnType<typeof openWorld>>;

const create =
  (...options: readonly string[]) =>
  (world: World) => {
    const words = options.map((option) => option.replace('CANARY', world.canary));
    execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', '-u', ...words, world.sample, String(size)]);
  };
const json = 'json:{"driver":"raw","file":{"driver":"file","filename":"CANARY"}}';

const samples: readonly [string, (world: World) => void][] = [
  ['a backing file', create('-b', 'CANARY', '-F', 'raw')],
  ['a backing file in JSON', create('-b', json, '-F', 'raw')],
  ['a backing file over the network', create('-b', 'nbd://127.0.0.1:9/x', '-F', 'raw')],
  ['an external data file', create('-o', 'data_file=CANARY,data_file_raw=on')],
  [
    'encryption that wants a secret',
    (world) => {
      create()(world);
      const head = readFileSync(world.sample);
      head.writeUInt32BE(2, 32);
      writeFileSync(world.sample, head);
    },
  ],
];

const system =
  /^(\/usr\/|\/lib|\/etc\/(ld\.so\.|nsswitch|gcrypt|gnutls|ssl|qemu|group|passwd|login\.defs|localtime)|\/proc\/|\/sys\/|\/dev\/(fd\/\d+|null|urandom)$)/;
const programs = ['strace', 'qemu-img', 'genisoimage', 'prlimit', 'unshare', 'setpriv'];

describe.skipIf(whyNot(programs, { root: true }) !== undefined)('a disk with', { timeout: 60_000 }, () => {
  function expectQuiet({ trace }: { readonly trace: string }, world: World): void {
    // The watch sees what it should.
    expect(trace).toContain(`"${world.sample}"`);
    expect(trace).not.toContain(`"${world.canary}"`);
    expect(trace).not.toMatch(/connect\(\d+, \{sa_family=AF_INET/);
  }

  test.each(samples)('%s opens no file and no connection, whatever is done with it', async (_, make) => {
    await using world = await openWorld();
    make(world);
    const { said, trace } = world.run('qcow2');
    for (const [step, word] of Object.entries(said))
      expect([step, word]).toEqual([step, expect.stringMatching(/^refused: /)]);
    expectQuiet({ trace }, world);
    // It was refused by our own reading of it.
    expect(trace).not.toMatch(/execve\("[^"]*qemu-img".* = 0/);
    expect(readdirSync(join(world.root, 'vms', world.uids.make)).filter((name) => !name.endsWith('.tmp'))).toEqual([]);
  });

  test('the header of a qcow2 file in its raw content is content', async () => {
    await using world = await openWorld();
    create('-b', world.canary, '-F', 'raw')(world);
    writeFileSync(world.sample, readFileSync(world.sample).subarray(0, size));
    const { said, trace } = world.run('raw');
    expect(said).toMatchObject({ make: 'done' });
    expectQuiet({ trace }, world);
    expect(trace).toMatch(/execve\("[^"]*qemu-img".* = 0/);
  });

  test.each([
    ['#include', '#include http://169.254.169.254/\n#include file:///etc/shadow\n'],
    ['jinja', '## template: jinja\n{% include "/etc/shadow" %}{{ 7 * 7 }}\n'],
    ['much', 'x'.repeat(16 * 2 ** 20)],
    ['options of the program that packs it', '-output /etc/cron.d/x\n-path-list CANARY\n'],
  ])('a seed of %s is packed, and nothing but it is opened', async (_, userData) => {
    await using world = await openWorld();
    execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', world.sample, String(size)]);
    const text = userData.replace('CANARY', world.canary);
    const { said, trace } = world.run('qcow2', { label: 'cidata', files: { 'user-data': text, 'meta-data': '' } });
    expect(said).toMatchObject({ make: 'done' });
    expectQuiet({ trace }, world);
    const packing = new Set([...trace.matchAll(/^(\d+) +execve\("[^"]*genisoimage".* = 0$/gm)].map(([, pid]) => pid));
    expect(packing.size).toBe(1);
    const touched = trace
      .split('\n')
      .filter((line) => packing.has(/^\d+/.exec(line)?.[0]))
      .flatMap((line) => /"([^"]*)".* = \d+/.exec(line)?.[1] ?? [])
      .filter((path) => !system.test(path) && !path.startsWith(join(world.root, 'vms', world.uids.make)));
    expect(touched.filter((path) => path.startsWith('/'))).toEqual([]);
    expect(statSync(join(world.root, 'vms', world.uids.make, 'seed.iso')).size).toBeGreaterThan(text.length);
  });
});
