/**
 * Somebody else on a subnet, who waits for guests to answer on HTTP: probe.ts ADDRESS/PREFIX, run in the network namespace of a host, gives
 * itself a port on the host's only bridge once that is there. Each address on standard input is asked until it answers: then a line
 * "ADDRESS MILLISECONDS BODY" says so, in milliseconds since 1970. Goes, and takes its port along, when standard input ends.
 */
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { systemClock } from '#lib/std/clock.ts';

const [port, self] = ['cfprobe0', 'cfprobe1'];
/** Of one address. An attempt without an answer is given up after the second. */
const [pauseMs, attemptMs] = [40, 200];

const ip = (...args: readonly string[]) => execFileSync('ip', args);

ip('link', 'add', port, 'type', 'veth', 'peer', self);
ip('addr', 'add', process.argv[2]!, 'dev', self);
for (const link of [port, self]) ip('link', 'set', link, 'up');
// A guest is not there at first: asked for its MAC every 20 ms instead of every second.
writeFileSync(`/proc/sys/net/ipv4/neigh/${self}/retrans_time_ms`, '20');
process.stdout.write('ready\n');

const lines = createInterface({ input: process.stdin });
const bridged = joinBridge();
lines.on('line', (address) => void answered(address));
lines.on('close', () => {
  ip('link', 'del', port);
  process.exit(0);
});

async function joinBridge(): Promise<void> {
  for (;;) {
    const [, bridge] = /^ *(cfb[0-9a-f]+):/m.exec(readFileSync('/proc/self/net/dev', 'utf8')) ?? [];
    if (bridge !== undefined) return void ip('link', 'set', port, 'master', bridge);
    await systemClock.sleep(10);
  }
}

async function answered(address: string): Promise<void> {
  await bridged;
  for (;;) {
    const body = await ask(address);
    if (body !== undefined) return void process.stdout.write(`${address} ${systemClock.now()} ${body.trim()}\n`);
    await systemClock.sleep(pauseMs);
  }
}

async function ask(address: string): Promise<string | undefined> {
  try {
    return await (await fetch(`http://${address}/`, { signal: AbortSignal.timeout(attemptMs) })).text();
  } catch {
    return undefined; // not yet
  }
}
