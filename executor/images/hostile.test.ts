/** What images made to read this host's files or reach its network really do, as strace sees it: not by what the import answers. */
import { execFile, execFileSync } from 'node:child_process';
import { randomBytes, randomUUID } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, renameSync, truncateSync, writeFileSync } from 'node:fs';
import { mkdtempDisposable } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { whyNot } from '#test/requires.ts';
import { imageImport } from '../testing/world.ts';

/** Runs importImage() alone in a process, so that all that is seen is its doing. */
const child = `
  const { importImage } = await import(process.argv[1]);
  const [launch, options] = JSON.parse(process.argv[2]);
  const signal = AbortSignal.timeout(20000);

  const say = (outcome) => console.log(JSON.stringify(outcome));
  await importImage(launch, { ...options, signal, onProgress: () => undefined }).then(say, ({ reason, terminal }) => say({ reason, terminal }));
`;

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
    async watch(): Promise<{ outcome: object; trace: string }> {
      const trace = join(directory.path, 'trace');
      const launch = imageImport(randomUUID(), { file: { path: 'a' } }, { maxVirtualSize: 2 ** 40 });
      const argv = [join(import.meta.dirname, 'import.ts'), JSON.stringify([launch, { imageStore, importDir }])];
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

const samples: [string, (world: World) => void, string][] = [
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

describe.skipIf(whyNot(['strace', 'qemu-img', 'prlimit', 'unshare', 'setpriv'], { root: true }) !== undefined)(
  'an image with',
  () => {
    test.concurrent.each(samples)(
      '%s opens no file and no connection',
      { timeout: 60_000 },
      async (_, sample, reason) => {
        await using world = await openWorld();
        sample(world);
        const { outcome, trace } = await world.watch();
        if (reason === 'harmless') expect(outcome).not.toMatchObject({ terminal: false });
        else expect(outcome).toEqual({ reason, terminal: true });
        // The watch sees what it should: the source, and the program where one was started.
        expect(trace).toContain(`"${join(world.importDir, 'a')}"`);
        if (reason === 'harmless') expect(trace).toMatch(/execve\("[^"]*qemu-img"/);
        expect(trace).not.toContain(`"${world.canary}"`);
        expect(trace).not.toMatch(/connect\(\d+, \{sa_family=AF_INET/);
        // Publishing syncs the store's directory, perhaps in a young thread of Node's.
        expect(foreign(trace).filter((path) => path !== world.imageStore)).toEqual([]);
        for (const name of world.stored())
          expect(readFileSync(join(world.imageStore, name)).includes(world.content.subarray(0, 512))).toBe(false);
      },
    );
  },
);

const system =
  /^(\/usr\/|\/lib|\/etc\/(ld\.so\.|gnutls|ssl|nsswitch|gcrypt|qemu)|\/proc\/|\/sys\/|\/dev\/(fd\/\d+|null|urandom)$)/;

/** Files that qemu-img opened besides its descriptors and the system's libraries. Who is first seen after its start is a thread of it. */
function foreign(trace: string): readonly string[] {
  const before = new Set<string>();
  const programs = new Set<string>();
  const opened: string[] = [];
  for (const line of trace.split('\n')) {
    const pid = /^\d+/.exec(line)?.[0] ?? '';
    if (/execve\("[^"]*qemu-img".* = 0$/.test(line)) programs.add(pid);
    else if (programs.size === 0) before.add(pid);
    const path = /open(?:at2?)?\(.*?"([^"]*)".* = \d+$/.exec(line)?.[1];
    if (path !== undefined && (programs.has(pid) || (programs.size > 0 && !before.has(pid)))) opened.push(path);
  }
  return opened.filter((path) => !system.test(path));
}
