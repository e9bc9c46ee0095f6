import { readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { type Random, systemRandom } from './random.ts';

const lowest = 10_000;
const highest = 32_767;
const mostTries = 1_000;

/**
 * Different TCP ports of loopback on which nobody listens now, for programs that are started again on the same port. They are below those
 * that the kernel gives to connections (net.ipv4.ip_local_port_range): of a program that is away for a second, one of those can be taken
 * by any connection of any process. Throws if there are none.
 */
export async function freePorts(count: number, random: Random = systemRandom): Promise<number[]> {
  const end = Math.min(highest, kernelsFirst() - 1);
  const span = Math.max(0, end - lowest + 1);
  const ports = new Set<number>();
  for (let tries = 0; ports.size < count && tries < mostTries && span > 0; tries++) {
    const port = lowest + Math.floor(random.next() * span);
    if (!ports.has(port) && (await isFree(port))) ports.add(port);
  }
  if (ports.size < count)
    throw new Error(
      `Found only ${ports.size} of ${count} free ports between ${lowest} and ${end} on loopback; stop what listens there, or raise the first port of net.ipv4.ip_local_port_range`,
    );
  return [...ports];
}

/** One of freePorts. */
export async function freePort(random: Random = systemRandom): Promise<number> {
  const [port] = await freePorts(1, random);
  return port!;
}

/** The first port that the kernel itself gives away; elsewhere than on Linux that of IANA, which is above all that are asked for here. */
function kernelsFirst(): number {
  if (process.platform !== 'linux') return 49_152;
  return Number(readFileSync('/proc/sys/net/ipv4/ip_local_port_range', 'utf8').trim().split(/\s+/)[0]);
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}
