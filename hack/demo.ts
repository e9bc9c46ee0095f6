/**
 * `make demo`: a local cluster, the samples, machines coming up, a summary. Does what a user would do by hand, with the same commands,
 * and leaves the cluster running. A second run finds everything there and says so.
 * Usage: hack/demo.ts [--dir DIRECTORY] [--port PORT]    as of "factoryctl local up"
 */
import { spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, readdirSync, truncateSync, writeFileSync } from 'node:fs';
import { join, relative, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { defaultDir } from '#cli/local/default-dir.ts';
import { localPaths, readSettings } from '#cli/local/settings.ts';
import { runCommandLine } from '#cli/main.ts';
import { terminalOutput } from '#cli/output.ts';
import { formatTable } from '#cli/table.ts';
import { isTrue } from '#lib/api/conditions.ts';
import { ComputeFactory, VirtualMachine, VMPool } from '#lib/api/generated/index.ts';
import type { ObjectWithStatus } from '#lib/api/meta.ts';
import type { Client } from '#lib/client/client.ts';
import { connectFromFile } from '#lib/client/kubeconfig.ts';
import { systemClock } from '#lib/std/clock.ts';
import { messageOf } from '#lib/std/errors.ts';

const root = join(import.meta.dirname, '..');
const samples = join(root, 'manifests/samples');
const namespace = 'studio-a';
const readyMs = 10 * 60_000;
const lookEveryMs = 500;
const out = terminalOutput();
const { values: flags } = parseArgs({ options: { dir: { type: 'string' }, port: { type: 'string' } } });
const dir = resolve(flags.dir ?? defaultDir);
const paths = localPaths(dir);
/** What the other commands need to find this cluster; nothing for the usual one. */
const dirFlags = flags.dir === undefined ? [] : ['--dir', dir];
const downCommand = ['bin/factoryctl local down', ...dirFlags].join(' ');
// The samples are for this cluster, never for one that the user's own kubeconfig names.
process.env.KUBECONFIG = paths.kubeconfig;

/** The image that the samples name, put where the hosts of a local cluster look for files to import. */
function placeImage(withReal: boolean): void {
  const file = join(paths.imports, 'tiny.img');
  if (existsSync(file)) return;
  mkdirSync(paths.imports, { recursive: true });
  if (withReal) copyFileSync(buildGuest(), file);
  else {
    // Imitated machines boot nothing: any disk image will do.
    writeFileSync(file, 'an imitated machine boots this\n');
    truncateSync(file, 2 ** 20);
  }
}

function buildGuest(): string {
  out.progress('Building the guest image from Debian packages');
  const { status, stdout, stderr } = spawnSync(join(root, 'hack/guest-image/build.sh'), {
    encoding: 'utf8',
    timeout: 300_000,
  });
  const image = stdout.trim().split('\n').at(-1) ?? '';
  if (status !== 0 || !existsSync(image)) throw new Error(`Cannot build the guest image:\n${stdout}${stderr}`);
  return image;
}

async function command(...args: readonly string[]): Promise<void> {
  out.line(
    `\n$ bin/factoryctl ${args.map((arg) => (arg.startsWith(root) ? relative(process.cwd(), arg) : arg)).join(' ')}`,
  );
  const code = await runCommandLine(args, out);
  if (code !== 0) throw new Error(`factoryctl ${args[0]} ended with ${code}; the lines above say why`);
}

interface World {
  readonly factory: ComputeFactory;
  readonly machines: readonly VirtualMachine[];
  readonly pools: readonly VMPool[];
}

async function look(client: Client): Promise<World> {
  const [factory, machines, pools] = await Promise.all([
    client.get(ComputeFactory, { name: 'render', namespace }),
    client.list(VirtualMachine, { namespace }),
    client.list(VMPool, { namespace }),
  ]);
  return { factory, machines: machines.items, pools: pools.items };
}

function isReady({ factory, pools }: World, withReal: boolean): boolean {
  const wanted: readonly ObjectWithStatus[] = [
    factory,
    ...pools.filter(({ metadata }) => withReal || metadata.name !== 'real'),
  ];
  return wanted.every(
    (object) => isTrue(object, 'Ready') && object.status?.observedGeneration === object.metadata.generation,
  );
}

function picture({ factory, machines }: World): readonly string[] {
  const rows = machines.map(({ metadata, status }) => [
    metadata.name,
    status?.displayStatus ?? '',
    status?.attempt?.host ?? '',
    status?.ip ?? '',
    String(status?.instanceType?.cores ?? ''),
    status?.instanceType?.memory ?? '',
  ]);
  const { capacity, displayStatus } = factory.status ?? {};
  return [
    `render   ${capacity?.ready ?? 0} of ${factory.spec.capacity.target} cores ready   ${displayStatus ?? ''}`,
    ...formatTable(['MACHINE', 'STATUS', 'HOST', 'IP', 'CORES', 'MEMORY'], rows),
  ];
}

/** On a terminal the picture is drawn over the last one; elsewhere only what changed is printed. */
function screen(): (lines: readonly string[]) => void {
  let shown: readonly string[] = [];
  return (lines) => {
    if (lines.join() === shown.join()) return;
    if (process.stdout.isTTY)
      process.stdout.write(`${shown.length > 0 ? `\u001b[${shown.length}A\u001b[J` : ''}${lines.join('\n')}\n`);
    else for (const line of lines) if (!shown.includes(line)) out.line(line);
    shown = lines;
  };
}

async function showUntilReady(client: Client, withReal: boolean): Promise<World> {
  const draw = screen();
  const deadline = systemClock.monotonic() + readyMs;
  for (;;) {
    const world = await look(client);
    draw(picture(world));
    if (isReady(world, withReal)) return world;
    if (systemClock.monotonic() > deadline) {
      await runCommandLine(['why', 'cf', 'render', '-n', namespace], out);
      throw new Error(`The factory was not ready after ${readyMs / 60_000} minutes; the lines above say why`);
    }
    await systemClock.sleep(lookEveryMs);
  }
}

function summary({ factory, machines }: World, seconds: number): void {
  const owned = machines.filter(({ metadata }) => metadata.labels?.['computefactory.io/factory'] === 'render');
  const real = machines.length - owned.length;
  const shapes = Object.entries(Object.groupBy(owned, ({ status }) => String(status?.instanceType?.cores))).sort(
    ([a], [b]) => Number(b) - Number(a),
  );
  out.line('');
  out.line(
    `render is Ready: ${factory.status?.capacity?.ready} cores in ${owned.length} machines (${shapes.map(([cores, of]) => `${of!.length} x ${cores}`).join(' + ')}), ${seconds.toFixed(0)} s after apply.`,
  );
  if (real > 0) out.line(`${real} real machines run beside them under QEMU: pool real.`);
  out.line('');
  out.line(`For these and for kubectl: export KUBECONFIG=${relative(process.cwd(), paths.kubeconfig)}`);
  out.line('Try next:');
  out.line(
    '  bin/factoryctl scale cf/render --replicas=120 -n studio-a     fewer cores; watch with: bin/factoryctl get vm -w -n studio-a',
  );
  out.line(
    real > 0
      ? '  bin/factoryctl console vm real-0 -n studio-a                  the serial console of a real machine; leave with Control-]'
      : '  bin/factoryctl describe cf render -n studio-a                 everything about the factory',
  );
  out.line(`  ${downCommand.padEnd(60)}  stop everything and leave nothing behind`);
}

async function demo(): Promise<void> {
  await command('local', 'up', '--wait', ...dirFlags, ...(flags.port === undefined ? [] : ['--port', flags.port]));
  const withReal = readSettings(dir)!.hosts.some(({ hypervisor }) => hypervisor === 'libvirt');
  placeImage(withReal);
  const files = readdirSync(samples)
    .filter((name) => withReal || !name.includes('real'))
    .sort();
  const started = systemClock.monotonic();
  await command('apply', ...files.flatMap((name) => ['-f', join(samples, name)]));
  out.line('');
  const client = connectFromFile(paths.kubeconfig);
  const world = await showUntilReady(client, withReal);
  summary(world, (systemClock.monotonic() - started) / 1000);
}

try {
  await demo();
  process.exit(0);
} catch (error) {
  out.error(
    `\nThe demo did not end well: ${messageOf(error)}.\n"${['bin/factoryctl local status', ...dirFlags].join(' ')}" shows what runs; "${downCommand}" removes it all.`,
  );
  process.exit(1);
}
