/**
 * P10: a storm of 100,000 updates and 10,000 offers in RecordIO, cut at random bytes, through our session with every update acknowledged.
 * First within this process, without a network, against framing and JSON.parse of the same bytes alone, per second of the processor. Then over HTTP
 * from a master in a process of its own: how long the event loop is busy at a time, what memory it takes, acknowledgements per second.
 */

import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { systemClock } from '#lib/std/clock.ts';
import type { Connect } from '#mesos/http.ts';
import { encodeRecord, RecordDecoder } from '#mesos/recordio.ts';
import { compare, ratioInWords } from './compare.ts';
import { startProgram } from './programs.ts';
import { offers, stormInChunks, subscribed, updates } from './stream/events.ts';
import { weatherTheStorm } from './stream/framework.ts';

const events = updates + offers;
const pairs = 3;
const mib = 2 ** 20;

export async function mesosStream(): Promise<readonly string[]> {
  const chunks = stormInChunks();
  const ours = () => perCpuSecond(() => weatherTheStorm('http://master', inProcess(chunks)));
  const baseline = () => perCpuSecond(async () => parseAlone(chunks));
  const comparison = await compare(pairs, ours, baseline);
  return [`P10 ${ratioInWords(comparison)} floor=0.3 goal=0.7 updates=${updates} offers=${offers}`, await overHttp()];
}

async function perCpuSecond(run: () => Promise<void>): Promise<number> {
  const before = process.cpuUsage();
  await run();
  const { user, system } = process.cpuUsage(before);
  return events / ((user + system) / 1e6);
}

function parseAlone(chunks: readonly Buffer[]): void {
  const decoder = new RecordDecoder();
  let heard = 0;
  for (const chunk of chunks)
    for (const record of decoder.push(chunk)) {
      const { type } = JSON.parse(Buffer.from(record.buffer, record.byteOffset, record.length).toString('utf8'));
      if (type === 'UPDATE' || type === 'OFFERS') heard += 1;
    }
  if (heard !== events) throw new Error(`The baseline read ${heard} of ${events} events`);
}

/** A master without a network: the stream is there at once, and every call is answered at once. */
function inProcess(chunks: readonly Buffer[]): Connect {
  async function* stream(): AsyncGenerator<Buffer> {
    yield encodeRecord(subscribed);
    yield* chunks;
    await Promise.withResolvers<never>().promise;
  }
  async function* nothing(): AsyncGenerator<Buffer> {}
  return () => ({
    async request({ body, signal }) {
      const isSubscribe = body.includes('"SUBSCRIBE"');
      const source = isSubscribe ? abortable(stream(), signal!) : nothing();
      return { statusCode: isSubscribe ? 200 : 202, headers: {}, body: Object.assign(source, { destroy() {} }) };
    },
    async destroy() {},
  });
}

async function* abortable(source: AsyncGenerator<Buffer>, signal: AbortSignal): AsyncGenerator<Buffer> {
  const aborted = new Promise<never>((_, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason), { once: true });
  });
  for (;;) {
    const next = await Promise.race([source.next(), aborted]);
    if (next.done) return;
    yield next.value;
  }
}

async function overHttp(): Promise<string> {
  await using master = startProgram(process.execPath, [join(import.meta.dirname, 'stream/master.ts')]);
  const port = Number(String(await master.said));
  const delay = monitorEventLoopDelay({ resolution: 1 });
  const before = process.memoryUsage().rss;
  let peak = before;
  using _sampler = sampling(() => {
    peak = Math.max(peak, process.memoryUsage().rss);
  });
  delay.enable();
  const started = systemClock.monotonic();
  await weatherTheStorm(`http://127.0.0.1:${port}`);
  const seconds = (systemClock.monotonic() - started) / 1000;
  delay.disable();
  const p999 = delay.percentile(99.9) / 1e6;
  return `P10 http acksPerSecond=${(updates / seconds).toFixed(0)} loopDelayP999ms=${p999.toFixed(0)} floorMs=100 goalMs=20 addedPeakMiB=${((peak - before) / mib).toFixed(0)}`;
}

function sampling(look: () => void): Disposable {
  const timer = setInterval(look, 50);
  return { [Symbol.dispose]: () => clearInterval(timer) };
}
