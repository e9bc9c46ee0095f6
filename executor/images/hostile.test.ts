/** What images made to read this host's files or reach its network really do, as strace sees it: not by what the import answers. */
import { execFile, execFileSync } from 'node:child_process';
import { randomBytes, randomUUID } from 'node:crypto';
import {
  closeSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { mkdtempDisposable } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { ImageImport } from '#lib/api/launch.ts';
import { whyNot } from '#test/requires.ts';
import { imageImport } from '../testing/world.ts';

/** Runs importImage() alone in a process, so that all that is seen is its doing. */
const child = `
  const [{ importImage }, { systemClock: clock }, { systemRandom: random }] = await Promise.all(process.argv.slice(1, 4).map((each) => import(each)));
  const [launch, options] = JSON.parse(process.argv[4]);
  const rest = { clock, random, signal: AbortSignal.timeout(20000), onProgress: () => undefined };
  const say = (outcome) => console.log(JSON.stringify(outcome));
  await importImage(launch, { ...options, ...rest }).then(say, ({ reason, terminal }) => say({ reason, terminal }));
`;

const root = join(import.meta.dirname, '../..');
const modules = ['executor/images/import.ts', 'lib/std/clock.ts', 'lib/std/random.ts'].map((name) => join(root, name));

async function openWorld() {
  const directory = await mkdtempDisposable(join(tmpdir(), 'cf-'));
  const [imageStore, importDir] = [join(directory.path, 'images'), join(directory.path, 'import')];
  for (const path of [imageStore, importDir]) mkdirSync(path);
  const canary = join(directory.path, 'canary');
  const content = randomBytes(65_536);
  writeFileSync(canary, content);
  return {
    importDir,
    canary,
    content,
    imageStore,
    async watch(changes: Partial<ImageImport> = {}): Promise<{ outcome: object; trace: string }> {
      const trace = join(directory.path, 'trace');
      const launch = imageImport(randomUUID(), { file: { path: 'a' } }, { maxVirtualSize: 2 ** 40, ...changes });
      const options = { hypervisor: 'libvirt', imageStore, importDir, allowPrivateSources: [] };
      const argv = [...modules, JSON.stringify([launch, options])];
      const calls = 'trace=open,openat,openat2,connect,execve';
      const node = [process.execPath, '--input-type=module', '-e', child, ...argv];
      const stdout = await new Promise<string>((resolve, reject) =>
        execFile(
          'strace',
          ['-f', '-o', trace, '-s', '4096', '-e', calls, ...node],
          { timeout: 25_000 },
          (error, out) => (error ? reject(error) : resolve(out)),
        ),
      );
      return { outcome: JSON.parse(stdout), trace: readFileSync(trace, 'utf8') };
    },
    stored: () => readdirSync(imageStore).filter((name) => name !== 'incoming'),
    [Symbol.asyncDispose]: async () => await directory.remove(),
  };
}

const make = (directory: string, ...options: string[]): void =>
  void execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', ...options], { cwd: directory });

/** Patches a header that qemu-img made. */
function patch(path: string, change: (head: Buffer) => unknown): void {
  const head = readFileSync(path);
  change(head);
  writeFileSync(path, head);
}

type World = Awaited<ReturnType<typeof openWorld>>;
const json = (path: string) => `json:${JSON.stringify({ driver: 'raw', file: { driver: 'file', filename: path } })}`;
const backing = (name: string) => (world: World) => make(world.importDir, '-u', '-b', name, '-F', 'raw', 'a', '64K');
const patched = (change: (head: Buffer) => unknown) => (world: World) => {
  make(world.importDir, 'a', '64K');
  patch(join(world.importDir, 'a'), change);
};

const pack = (program: string) => (world: World) => {
  backing(world.canary)(world);
  const path = join(world.importDir, 'a');
  writeFileSync(path, execFileSync(program, ['-c', path]));
};

/** A chain of a thousand, of which nobody has to open more than the first. */
function chain({ importDir }: World): void {
  make(importDir, '-u', '-b', '0000', '-F', 'qcow2', 'a', '64K');
  const link = readFileSync(join(importDir, 'a'));
  const at = link.indexOf('0000');
  for (let index = 0; index < 1000; index++) {
    link.write(String(index + 1).padStart(4, '0'), at);
    writeFileSync(join(importDir, String(index).padStart(4, '0')), link);
  }
}

const extents = (path: string) =>
  `# Disk DescriptorFile\nversion=1\nCID=fffffffe\nparentCID=ffffffff\ncreateType="monolithicFlat"\n\nRW 128 FLAT "${path}" 0\n`;

/** A VMDK as qemu-img makes it, and what is changed in its header and in the description within. */
const vmdk = (change: (head: Buffer, world: World) => void) => (world: World) => {
  execFileSync('qemu-img', ['create', '-q', '-f', 'vmdk', 'a', '1M'], { cwd: world.importDir });
  patch(join(world.importDir, 'a'), (head) => change(head, world));
};

/** Its parent is named elsewhere in the file: the type says that it has one. */
function differencingVhd({ importDir }: World): void {
  execFileSync('qemu-img', ['create', '-q', '-f', 'vpc', 'a', '8M'], { cwd: importDir });
  patch(join(importDir, 'a'), (file) => {
    for (const footer of [file.subarray(0, 512), file.subarray(-512)]) {
      footer.writeUInt32BE(4, 60);
      footer.writeUInt32BE(0, 64);
      footer.writeUInt32BE(~footer.reduce((a, b) => a + b) >>> 0, 64);
    }
  });
}

const secret = [
  '--object',
  'secret,id=s,data=abc',
  '-o',
  'encrypt.format=luks,encrypt.key-secret=s,encrypt.iter-time=10',
];

/** qemu-img measures how fast the processor is, and on one that is busy cannot. */
function encrypt({ importDir }: World): void {
  for (let tries = 20; ; tries--) {
    try {
      make(importDir, ...secret, 'a', '1M');
      return;
    } catch (error) {
      if (tries === 0 || !/accurate CPU usage/.test(String(error))) throw error;
    }
  }
}

const samples: [string, (world: World) => void, string, Partial<ImageImport>?][] = [
  ['a chain of a thousand backing files', chain, 'BackingFile'],
  ['a backing file packed by gzip', pack('gzip'), 'BackingFile'],
  ['a backing file packed by xz', pack('xz'), 'BackingFile'],
  ['a backing file packed by zstd', pack('zstd'), 'BackingFile'],
  ['a qcow2 header as raw disk', (world) => backing(world.canary)(world), 'BackingFile', { format: 'raw' }],
  [
    'the marks of qcow2, GPT and ISO 9660',
    (world) => {
      backing(world.canary)(world);
      patch(join(world.importDir, 'a'), (file) => file.write('EFI PART', 4096) && file.write('CD001', 32_769));
    },
    'BackingFile',
  ],
  ['encryption that wants a secret', encrypt, 'Encrypted'],
  [
    'less virtual size than content',
    (world) => {
      make(world.importDir, 'a', '8M');
      patch(join(world.importDir, 'a'), (head) => head.writeBigUInt64BE(512n, 24));
    },
    'harmless',
  ],
  [
    'a VMDK description that names a file',
    (world) => writeFileSync(join(world.importDir, 'a'), extents(world.canary)),
    'ExternalDataFile',
  ],
  [
    'a VMDK without capacity whose description names a file',
    vmdk((head, { canary }) => {
      head.writeBigUInt64LE(0n, 12);
      head.fill(0, 512, 512 + 20 * 512).write(extents(canary), 512);
    }),
    'ExternalDataFile',
  ],
  [
    'a VMDK whose parent is a file',
    vmdk((head, { canary }) => {
      const text = `# Disk DescriptorFile\nCID=1\nparentCID=2\nparentFileNameHint="${canary}"\ncreateType="monolithicSparse"\n`;
      head.fill(0, 512, 512 + 20 * 512).write(text, 512);
    }),
    'BackingFile',
  ],
  ['a VHD that stands on a parent', differencingVhd, 'BackingFile'],

  ['a backing file', (world) => backing(world.canary)(world), 'BackingFile'],
  ['a backing file in JSON', (world) => backing(json(world.canary))(world), 'BackingFile'],
  ['a backing file over the network', backing('nbd://127.0.0.1:9/x'), 'BackingFile'],
  [
    'itself as its backing file',
    (world) => {
      make(world.importDir, '-u', '-b', 'a', '-F', 'qcow2', 'b', '64K');
      renameSync(join(world.importDir, 'b'), join(world.importDir, 'a'));
    },
    'BackingFile',
  ],
  [
    'an external data file',
    (world) => {
      make(world.importDir, '-o', `data_file=${world.canary},data_file_raw=on`, 'a', '64K');
      // Making the sample empties its target.
      writeFileSync(world.canary, world.content);
    },
    'ExternalDataFile',
  ],
  ['a disk of a petabyte', (world) => make(world.importDir, '-o', 'cluster_size=2M', 'a', '1P'), 'TooLarge'],
  ['encryption', patched((head) => head.writeUInt32BE(2, 32)), 'Encrypted'],
  ['a huge L1 table', patched((head) => head.writeUInt32BE(0xffff_ffff, 36)), 'UnsupportedFormat'],
  ['a huge refcount table', patched((head) => head.writeUInt32BE(0xffff_ffff, 56)), 'UnsupportedFormat'],
  ['a huge snapshot table', patched((head) => head.writeUInt32BE(0xffff_ffff, 60)), 'UnsupportedFormat'],
  [
    'a file cut within its tables',
    (world) => {
      make(world.importDir, 'a', '1G');
      truncateSync(join(world.importDir, 'a'), 66_000);
    },
    'harmless',
  ],
  [
    'a raw disk that names the canary in its text',
    (world) => writeFileSync(join(world.importDir, 'a'), json(world.canary).padEnd(4096)),
    'harmless',
  ],
];

describe.skipIf(
  whyNot(['strace', 'qemu-img', 'prlimit', 'unshare', 'setpriv', 'gzip', 'xz', 'zstd'], { root: true }) !== undefined,
)('an image with', () => {
  test.concurrent.each(samples)(
    '%s opens no file and no connection',
    { timeout: 60_000 },
    async (_, sample, reason, changes) => {
      await using world = await openWorld();
      sample(world);
      const { outcome, trace } = await world.watch(changes);
      if (reason === 'harmless') expect(outcome).not.toMatchObject({ terminal: false });
      else expect(outcome).toEqual({ reason, terminal: true });
      // The watch sees what it should: the source, and the program where one was started.
      expect(trace).toContain(`"${join(world.importDir, 'a')}"`);
      if (reason === 'harmless') expect(trace).toMatch(/execve\("[^"]*qemu-img"/);
      expect(trace).not.toContain(`"${world.canary}"`);
      expect(trace).not.toMatch(/connect\(\d+, \{sa_family=AF_INET/);
      expect(foreign(trace, world)).toEqual([]);
      for (const name of world.stored())
        expect(readFileSync(join(world.imageStore, name)).includes(world.content.subarray(0, 512))).toBe(false);
    },
  );

  test('bytes that change while they are imported', { timeout: 60_000 }, async () => {
    await using world = await openWorld();
    const path = join(world.importDir, 'a');
    backing(world.canary)(world);
    renameSync(path, `${path}.hostile`);
    make(world.importDir, 'a', '64K');
    renameSync(path, `${path}.honest`);
    const [hostile, honest] = ['hostile', 'honest'].map((name) => readFileSync(`${path}.${name}`));
    const handle = openSync(path, 'w');
    let isHostile = false;
    const change = setInterval(() => {
      isHostile = !isHostile;
      writeSync(handle, isHostile ? hostile! : honest!, 0, undefined, 0);
    }, 1);
    const { outcome, trace } = await world.watch();
    clearInterval(change);
    closeSync(handle);
    expect(outcome).not.toMatchObject({ terminal: false });
    expect(trace).not.toContain(`"${world.canary}"`);
    expect(foreign(trace, world)).toEqual([]);
  });

  test.each(['http://169.254.169.254/latest/meta-data/', 'http://[::ffff:127.0.0.1]:22/', 'http://2130706433:22/'])(
    'a source at %s',
    async (url) => {
      await using world = await openWorld();
      const { outcome, trace } = await world.watch({ source: { http: { url } } });
      expect(outcome).toEqual({ reason: 'AddressRefused', terminal: true });
      expect(trace).toMatch(/execve\(/);
      expect(trace).not.toMatch(/connect\(\d+, \{sa_family=AF_INET/);
    },
  );
});

/** Whoever answers at these addresses of a network of its own counts who comes, while the imports that are named to it run. */
const listening = `
  const [{ importImage }, { systemClock: clock }, { systemRandom: random }] = await Promise.all(process.argv.slice(1, 4).map((each) => import(each)));
  const { createServer, connect } = await import('node:net');
  const [launches, options, addresses] = JSON.parse(process.argv[4]);
  const came = Object.fromEntries(addresses.map((address) => [address, 0]));
  for (const address of addresses)
    for (const port of [9, 22, 80, 443])
      await new Promise((resolve) => createServer((socket) => (came[address]++, socket.end('CANARY'))).listen(port, address, resolve));
  const rest = { clock, random, signal: AbortSignal.timeout(60000), onProgress: () => undefined };
  const outcomes = [];
  for (const launch of launches) outcomes.push(await importImage(launch, { ...options, ...rest }).then(() => 'taken', ({ reason }) => reason));
  const during = { ...came };
  for (const address of addresses) await new Promise((resolve) => connect(80, address).on('close', resolve).resume());
  console.log(JSON.stringify({ outcomes, during, after: came }));
  process.exit();
`;

describe.skipIf(whyNot(['ip', 'unshare', 'qemu-img', 'prlimit', 'setpriv'], { root: true }) !== undefined)(
  'in a network where the host’s own addresses and those of clouds answer',
  () => {
    const addresses = ['127.0.0.1', '::1', '169.254.169.254', 'fd00:ec2::254'];
    const urls = [
      ...['http://127.0.0.1/', 'http://2130706433/', 'http://0x7f.1/', 'http://0/', 'http://localhost/'],
      ...['http://[::1]/', 'http://[::ffff:127.0.0.1]/', 'http://[::ffff:7f00:1]/', 'http://[::127.0.0.1]/'],
      ...[
        'http://169.254.169.254/latest/meta-data/',
        'http://[::ffff:169.254.169.254]/',
        'http://[64:ff9b::a9fe:a9fe]/',
      ],
      ...['http://[fd00:ec2::254]/', 'https://169.254.169.254/', 'http://127.0.0.1:22/'],
    ];
    const backings = ['127.0.0.1:9', '[::1]:9', '169.254.169.254:80', '[fd00:ec2::254]:80'];

    test('no import connects to any of them, by its URL or by what the image names', { timeout: 120_000 }, async () => {
      await using world = await openWorld();
      backings.forEach((place, index) => {
        for (const [protocol, name] of [
          ['nbd', `n${index}`],
          ['http', `h${index}`],
        ] as const)
          make(world.importDir, '-u', '-b', `${protocol}://${place}/x`, '-F', 'raw', name, '64K');
      });
      const files = readdirSync(world.importDir).map((path) => ({ file: { path } }));
      const launches = [...urls.map((url) => ({ http: { url } })), ...files].map((source) =>
        imageImport(randomUUID(), source, { maxVirtualSize: 2 ** 40 }),
      );
      const { imageStore, importDir } = world;
      const options = { hypervisor: 'libvirt', imageStore, importDir, allowPrivateSources: [] };
      const up =
        'ip link set lo up; ip addr add 169.254.169.254/32 dev lo; ip addr add fd00:ec2::254/128 dev lo nodad; exec "$@"';
      const node = [process.execPath, '--input-type=module', '-e', listening, ...modules];
      const args = ['--net', 'sh', '-ec', up, 'sh', ...node, JSON.stringify([launches, options, addresses])];
      const { outcomes, during, after } = JSON.parse(execFileSync('unshare', args, { encoding: 'utf8' }));
      expect(outcomes).toEqual([...urls.map(() => 'AddressRefused'), ...files.map(() => 'BackingFile')]);
      expect(during).toEqual(Object.fromEntries(addresses.map((address) => [address, 0])));
      // They do answer.
      expect(after).toEqual(Object.fromEntries(addresses.map((address) => [address, 1])));
    });
  },
);

const system =
  /^(\/usr\/|\/lib|\/etc\/(ld\.so\.|gnutls|ssl|nsswitch|gcrypt|qemu)|\/proc\/|\/sys\/|\/dev\/(fd\/\d+|null|urandom)$)/;

const parsers = new Set(['qemu-img', 'gzip', 'xz', 'zstd']);

/**
 * Files that the programs opened besides their descriptors and the system's libraries. Who is first seen after the start of one is a thread
 * of it, or a young one of Node's: that opens the import's own files.
 */
function foreign(trace: string, { imageStore }: World): readonly string[] {
  const before = new Set<string>();
  const programs = new Set<string>();
  const opened: string[] = [];
  for (const line of trace.split('\n')) {
    const pid = /^\d+/.exec(line)?.[0] ?? '';
    const program = /execve\("(?:[^"]*\/)?([^"/]*)".* = 0$/.exec(line)?.[1];
    if (program !== undefined && parsers.has(program)) programs.add(pid);
    else if (program !== undefined || programs.size === 0) before.add(pid);
    const path = /open(?:at2?)?\(.*?"([^"]*)".* = \d+$/.exec(line)?.[1];
    if (path !== undefined && (programs.has(pid) || (programs.size > 0 && !before.has(pid)))) opened.push(path);
  }
  const isOwn = (path: string) => path === imageStore || path.startsWith(join(imageStore, 'incoming/img-'));
  return opened.filter((path) => !system.test(path) && !isOwn(path));
}
