/** The network namespace of a pretended host: its name is also the mark on everything that belongs to the host. */
import { execFile } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { promisify } from 'node:util';
import type { Clock } from '#lib/std/clock.ts';
import { signalProcess } from '#lib/std/process-identity.ts';

const run = promisify(execFile);
const commandMs = 10_000;
const killMs = 20_000;
const environment = { ...process.env, PATH: `${process.env.PATH ?? ''}:/usr/sbin:/sbin`, LC_ALL: 'C' };

async function command(program: string, ...args: readonly string[]): Promise<string> {
  const { stdout } = await run(program, [...args], { timeout: commandMs, env: environment });
  return stdout;
}

export const ip = (...args: readonly string[]): Promise<string> => command('ip', ...args);

/**
 * With the first name of all iproute2 makes the folder of names a mount of its own, and leaves it for good. Whoever removes the last name
 * takes it away: refused by the kernel while there are others, and by this lock while another host is adding one.
 */
export const locked = (script: string, ...args: readonly string[]): Promise<string> =>
  command('flock', '/run', 'sh', '-ec', script, 'sh', ...args);
const addScript = 'ip netns add "$1"';
const removeScript = 'ip netns del "$1" && { umount /run/netns && rmdir /run/netns || :; } 2>/dev/null';

function exists(name: string): boolean {
  return existsSync(`/run/netns/${name}`);
}

/** Of its subnets with a way out: the executor's, which knows of no power cut. */
function routersOf(name: string): readonly string[] {
  return readdirSync('/run/netns').filter((each) => new RegExp(`^${name}-r[0-9a-f]+$`).test(each));
}

export async function makeNamespace(name: string): Promise<void> {
  if (!exists(name)) await locked(addScript, name);
  await ip('-n', name, 'link', 'set', 'lo', 'up');
}

/**
 * Cuts the power: kills every process in the namespace, also those that no pid file knows (dnsmasq, what a killed `start` left
 * behind), and removes it with its bridges and taps. Nothing if it is not there.
 */
export async function removeNamespace(name: string, clock: Clock): Promise<void> {
  const deadline = clock.monotonic() + killMs;
  while (exists(name)) {
    const pids = (await ip('netns', 'pids', name)).split('\n').filter((line) => line !== '');
    for (const pid of pids) signalProcess(Number(pid), 'SIGKILL');
    if (pids.length === 0) {
      for (const router of routersOf(name)) await locked(removeScript, router);
      return void (await locked(removeScript, name));
    }
    if (clock.monotonic() > deadline) {
      throw new Error(`Cannot stop the pretended host ${name}: processes ${pids.join(', ')} do not end`);
    }
    await clock.sleep(20);
  }
}
