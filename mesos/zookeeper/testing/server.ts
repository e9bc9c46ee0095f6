/** A real ZooKeeper for tests: one process with a directory and a port of its own, which stay when it is killed and started again. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '#lib/std/clock.ts';
import { freePort } from '#lib/std/free-ports.ts';
import { eventually } from '../../local/testing/cluster.ts';
import { ZooKeeperConnection } from '../connection.ts';
import { noSession } from '../messages.ts';

export interface ZooKeeperProcess extends AsyncDisposable {
  /** HOST:PORT. */
  readonly address: string;
  /** kill -9, and waits until it is gone. */
  kill(): Promise<void>;
  /** Starts it again on what it has on disk, and waits until it answers. */
  restart(): Promise<void>;
  /** It stands still but keeps its connections. */
  pause(): void;
  resume(): void;
}

/** Where Debian's package `zookeeper` puts it. */
const jar = '/usr/share/java/zookeeper.jar';
const configuration = '/etc/zookeeper/conf';

/** Why there is no ZooKeeper to test with; undefined if there is. On CI its absence is an error, not a reason to skip. */
export function whyNoZooKeeper(): string | undefined {
  if (existsSync(jar)) return undefined;
  const reason = 'ZooKeeper is not installed (Debian: apt-get install zookeeper default-jre-headless)';
  if (process.env.CI) throw new Error(`Cannot test what needs ZooKeeper: ${reason}`);
  return reason;
}

/** What starts a ZooKeeper on this port of 127.0.0.1, with its configuration, which is written by this, and its data in `directory`. */
export function zooKeeperCommand(directory: string, port: number): readonly string[] {
  const file = join(directory, 'zoo.cfg');
  // A short tick, so that sessions may be short too (2 to 20 ticks unless told).
  const settings = { tickTime: 100, maxSessionTimeout: 60_000, dataDir: join(directory, 'data'), clientPort: port };
  const more = { clientPortAddress: '127.0.0.1', 'admin.enableServer': false };
  writeFileSync(
    file,
    Object.entries({ ...settings, ...more })
      .map(([key, value]) => `${key}=${value}\n`)
      .join(''),
  );
  const quick = ['-Xmx128m', '-XX:TieredStopAtLevel=1', '-XX:+UseSerialGC', '-Xshare:auto'];
  const main = 'org.apache.zookeeper.server.quorum.QuorumPeerMain';
  return ['java', ...quick, '-cp', `${configuration}:${jar}`, main, file];
}

export async function startZooKeeper(): Promise<ZooKeeperProcess> {
  const directory = mkdtempSync(join(tmpdir(), 'zookeeper-'));
  const port = await freePort();
  const command = zooKeeperCommand(directory, port);
  let running = await launch(command, port);
  const kill = async () => {
    if (running.exitCode !== null || running.signalCode !== null) return;
    running.kill('SIGKILL');
    await once(running, 'exit');
  };
  return {
    address: `127.0.0.1:${port}`,
    kill,
    async restart() {
      await kill();
      running = await launch(command, port);
    },
    pause: () => void running.kill('SIGSTOP'),
    resume: () => void running.kill('SIGCONT'),
    async [Symbol.asyncDispose]() {
      await kill();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

async function launch([program, ...args]: readonly string[], port: number): Promise<ChildProcess> {
  const child = spawn(program!, args, { stdio: 'ignore' });
  await eventually(`ZooKeeper on port ${port}`, () => isServing(port), 30_000);
  return child;
}

/** It accepts connections some time before it has sessions to give. */
async function isServing(port: number): Promise<boolean> {
  const server = { host: '127.0.0.1', port };
  const options = { server, session: noSession, timeoutMs: 1000, connectTimeoutMs: 1000, lastZxid: 0n };
  try {
    const more = { credentials: undefined, clock: systemClock };
    using connection = await ZooKeeperConnection.open({ ...options, ...more }, AbortSignal.timeout(5000));
    await connection.closeSession();
    return true;
  } catch {
    return false; // Not yet: asked again until the deadline.
  }
}
