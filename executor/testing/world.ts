/** A host with one imitated hypervisor, one stored image and a scripted agent. */
import { mkdir, mkdtempDisposable, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ImageImport, MachineLaunch } from '#lib/api/launch.ts';
import { imageTaskId, machineTaskId } from '#lib/api/names.ts';
import { systemClock } from '#lib/std/clock.ts';
import { silentLog } from '#lib/std/log.ts';
import { systemRandom } from '#lib/std/random.ts';
import { type ExecutorConfig, parseConfig } from '../config.ts';
import { type RunningExecutor, startExecutor } from '../start.ts';
import { ScriptedAgent } from './scripted-agent.ts';

export const digest = 'd'.repeat(64);

export interface World extends AsyncDisposable {
  readonly agent: ScriptedAgent;
  readonly config: ExecutorConfig;
  readonly configFile: string;
  /** Starts an executor in this process; ends with the world. */
  start(incarnation?: string, changes?: Partial<ExecutorConfig>): Promise<RunningExecutor>;
}

/** `cache`: the host keeps copies of images in `cache` under its root. */
export async function openWorld({ agents = false, cache = false } = {}): Promise<World> {
  await using stack = new AsyncDisposableStack();
  const { path: root } = stack.use(await mkdtempDisposable(join(tmpdir(), 'cf-')));
  const agent = stack.use(await ScriptedAgent.listen());
  const bootIdFile = join(root, 'boot-id');
  const value = {
    hypervisor: 'sim',
    root,
    imageStore: join(root, 'images'),
    importDir: join(root, 'import'),
    allowPrivateSources: ['127.0.0.0/8'],
    bootIdFile,
    ...(cache && { imageCache: { directory: join(root, 'cache'), sizeGiB: 1 } }),
  };
  const config = parseConfig({ ...value, sim: { bootMs: 10, agents } });
  const configFile = join(root, 'executor.json');
  await mkdir(config.imageStore);
  await mkdir(config.importDir);
  await writeFile(join(config.imageStore, digest), 'an image');
  await writeFile(bootIdFile, 'boot-1\n');
  await writeFile(configFile, JSON.stringify({ ...value, sim: { bootMs: 10, agents } }));
  const running = new Set<RunningExecutor>();
  stack.defer(
    async () => void (await Promise.all([...running].map(async (each) => await each[Symbol.asyncDispose]()))),
  );
  const kept = stack.move();
  return {
    agent,
    config,
    configFile,
    async start(incarnation = 'life-1', changes = {}) {
      const environment = agent.environment(root);
      const common = { clock: systemClock, random: systemRandom, log: silentLog };
      const executor = await startExecutor({
        config: { ...config, ...changes },
        environment,
        incarnation,
        ...common,
        heartbeatMs: 200,
        lookMs: 100,
      });
      running.add(executor);
      return executor;
    },
    [Symbol.asyncDispose]: async () => await kept.disposeAsync(),
  };
}

export function machineLaunch(uid: string, changes: Partial<MachineLaunch> = {}): MachineLaunch {
  const attempt = changes.attempt ?? 1;
  return {
    version: 1,
    type: 'machine',
    installation: 'i',
    uid,
    namespace: 'studio-a',
    name: 'm-0',
    attempt,
    taskId: machineTaskId(uid, attempt),
    adopt: false,
    cores: 1,
    memoryMiB: 64,
    image: { digest, format: 'raw', virtualSize: 512 },
    rootDiskBytes: 1024,
    networks: [],
    hostname: 'm-0',
    sshKeys: [],
    osType: 'Linux',
    power: 'On',
    onGuestShutdown: 'Restart',
    onGuestCrash: 'Restart',
    terminationGraceMs: 5000,
    ...changes,
  };
}

export function imageImport(
  uid: string,
  source: ImageImport['source'],
  changes: Partial<ImageImport> = {},
): ImageImport {
  return {
    version: 1,
    type: 'image',
    installation: 'i',
    uid,
    namespace: 'studio-a',
    name: 'img',
    attempt: 1,
    taskId: imageTaskId(uid, 1),
    source,
    maxVirtualSize: 1024 ** 3,
    timeoutMs: 30_000,
    ...changes,
  };
}
