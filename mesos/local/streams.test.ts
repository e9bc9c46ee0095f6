/** The bytes of a local Mesos: JSON as the recorded one wrote it, and streams that arrive in any pieces. */
import type { ServerResponse } from 'node:http';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { parseLossless } from '#mesos/json.ts';
import { recordedStreams, recordingFiles } from '../testing/recordings.ts';
import { startAgent } from './agent/agent.ts';
import { serve } from './http.ts';
import { mesosJson } from './json.ts';
import { startMaster } from './master/master.ts';
import { parseResources } from './resources.ts';
import { temporaryDirectory } from './testing/cluster.ts';
import { TestScheduler } from './testing/scheduler.ts';

/** Mesos' writer prints doubles with as few digits as can be, but not always the nearest such text; JavaScript's does. */
function nearest(text: string): string {
  return text.replace(/\d+\.\d*[1-9]\d*(?=[,}\]])/g, (double) => String(Number(double)));
}

test('every recorded record comes out of the local JSON as it was, doubles included', () => {
  for (const { file, records } of recordingFiles().flatMap(recordedStreams)) {
    for (const record of records) {
      const text = nearest(record.toString('utf8').replace(/^\d+\n/, ''));
      const own = mesosJson(parseLossless(text));
      if (own !== text) expect(own, file).toBe(text);
    }
  }
});

test('mesosJson leaves texts alone, whatever they look like', () => {
  const value = { data: '{"value":1}', labels: [{ key: '"value":2,', value: 'x' }], scalar: { value: 1 }, port: 5050 };
  const text = mesosJson(value);
  expect(JSON.parse(text)).toEqual(value);
  expect(text).toContain('"scalar":{"value":1.0},"port":5050');
});

/** Cuts what is written to a stream into single bytes and joins what is written at once. */
const inPieces: typeof serve = (address, handler, failed) =>
  serve(
    address,
    (request, response) => {
      const write = response.write.bind(response) as (chunk: Buffer) => boolean;
      const pieces = (chunk: Buffer) => {
        for (let at = 0; at < chunk.length; at += 1 + (at % 3)) write(chunk.subarray(at, at + 1 + (at % 3)));
        return true;
      };
      (response as { write: unknown }).write = (chunk: Buffer) => pieces(chunk);
      return handler(request, response as ServerResponse);
    },
    failed,
  );

test('a cluster whose streams arrive in pieces of one to three bytes works as any other', {
  timeout: 60_000,
}, async () => {
  using directory = temporaryDirectory();
  const common = { port: 0, serve: inPieces };
  await using master = await startMaster({
    ...common,
    ...{ workDir: join(directory.path, 'm'), allocationIntervalMs: 100 },
  });
  await using _agent = await startAgent({
    ...common,
    ...{ master: master.url, workDir: join(directory.path, 'a'), hostname: 'h1.lab' },
    resources: parseResources('cpus:4;mem:4096'),
  });
  await using scheduler = new TestScheduler(master.url);
  await scheduler.subscribe();
  const agent = await scheduler.launch('t', 'ex');
  await scheduler.status('t', 'TASK_RUNNING');
  await scheduler.call({ type: 'KILL', kill: { task_id: { value: 't' }, agent_id: { value: agent } } });
  await scheduler.status('t', 'TASK_KILLED');
});
