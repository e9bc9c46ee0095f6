/**
 * Asks a guest by HTTP for no more than the status of its answer. A guest may answer anything, at any pace: nothing is read but the first
 * line, and no longer than a try may take.
 */
import type { Duplex } from 'node:stream';
import { connect as connectTls } from 'node:tls';
import type { HttpProbe } from '#lib/api/launch.ts';
import { MachineError } from '../hypervisor.ts';

const lineBytesMax = 512;

/** Rejects with MachineError for what is no answer, and with whatever once `signal` aborts. Ends the stream. */
export async function askStatus(stream: Duplex, host: string, probe: HttpProbe, signal: AbortSignal): Promise<number> {
  // Its certificate is whatever it has: who it is says its address, which nobody else can send from.
  const spoken = probe.scheme === 'HTTPS' ? connectTls({ socket: stream, rejectUnauthorized: false }) : stream;
  // What breaks is heard of by who reads, if anybody does any more.
  for (const each of [stream, spoken]) each.on('error', () => undefined);
  const stop = () => void spoken.destroy(new Error('Given up'));
  if (signal.aborted) stop();
  signal.addEventListener('abort', stop, { once: true });
  try {
    spoken.write(requestOf(host, probe));
    return statusIn(await firstLine(spoken));
  } finally {
    signal.removeEventListener('abort', stop);
    spoken.destroy();
    stream.destroy();
  }
}

function requestOf(host: string, { port, path, headers }: HttpProbe): string {
  const given = new Set(headers.map(({ name }) => name.toLowerCase()));
  const own = [
    { name: 'Host', value: `${host}:${port}` },
    { name: 'User-Agent', value: 'compute-factory-probe' },
    { name: 'Accept', value: '*/*' },
  ];
  const all = [...own.filter(({ name }) => !given.has(name.toLowerCase())), ...headers];
  const lines = all.map(({ name, value }) => `${name}: ${value}\r\n`).join('');
  return `GET ${path} HTTP/1.1\r\n${lines}Connection: close\r\n\r\n`;
}

async function firstLine(stream: Duplex): Promise<string> {
  let read = '';
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    read += chunk.subarray(0, lineBytesMax).toString('latin1');
    const end = read.indexOf('\n');
    if (end >= 0) return read.slice(0, end);
    if (read.length >= lineBytesMax) break;
  }
  if (read === '') throw new MachineError('The connection ended without an answer');
  return read;
}

function statusIn(line: string): number {
  const status = /^HTTP\/1\.[01] (\d{3})(?: |\r|$)/.exec(line)?.[1];
  if (status === undefined) throw new MachineError('The answer is not HTTP');
  return Number(status);
}
