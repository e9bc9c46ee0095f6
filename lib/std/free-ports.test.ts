import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { expect, test } from 'vitest';
import { freePort, freePorts } from './free-ports.ts';
import { seededRandom } from './random.ts';

test('ports are different, free, and none that the kernel gives to connections', async () => {
  const ports = await freePorts(20);
  expect(new Set(ports).size).toBe(20);
  const first = Number(readFileSync('/proc/sys/net/ipv4/ip_local_port_range', 'utf8').split(/\s+/)[0]);
  for (const port of ports) {
    expect(port).toBeLessThan(first);
    const server = createServer().listen(port, '127.0.0.1');
    await once(server, 'listening');
    await new Promise((resolve) => server.close(resolve));
  }
});

test('a port on which somebody listens is not given', async () => {
  const taken = await freePort(seededRandom(7));
  const server = createServer().listen(taken, '127.0.0.1');
  await once(server, 'listening');
  try {
    expect(await freePort(seededRandom(7))).not.toBe(taken);
  } finally {
    await new Promise((resolve) => server.close(resolve));
  }
});
