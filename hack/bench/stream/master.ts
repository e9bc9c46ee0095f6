/** A master that says the storm to whoever subscribes and takes every call: a process of its own. Prints its port. */
import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { encodeRecord } from '#mesos/recordio.ts';
import { stormInChunks, subscribed } from './events.ts';

const chunks = stormInChunks();

async function storm(response: ServerResponse): Promise<void> {
  response.writeHead(200, { 'content-type': 'application/json', 'mesos-stream-id': 'storm' });
  response.write(encodeRecord(subscribed));
  for (const chunk of chunks) if (!response.write(chunk)) await once(response, 'drain');
}

const server = createServer((request, response) => {
  const parts: Buffer[] = [];
  request.on('data', (part: Buffer) => parts.push(part));
  request.on('end', () => {
    if (Buffer.concat(parts).includes('"SUBSCRIBE"')) void storm(response);
    else response.writeHead(202).end();
  });
});
server.listen(0, '127.0.0.1', () => process.stdout.write(`${(server.address() as AddressInfo).port}\n`));
