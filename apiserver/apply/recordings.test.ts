/** Replays, over HTTPS, what a real Kubernetes API server did with server-side apply: answers and managedFields must be the same. */
import { readFileSync } from 'node:fs';
import { Agent } from 'node:https';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { atPath, isObject, type Json, type JsonObject } from '#apiserver/json/json.ts';
import { readCrdFile } from '#apiserver/resources/crd.ts';
import { createRequester, type Reply, type Requester } from '#apiserver/testing/http.ts';
import {
  bodyOf,
  comparable,
  type Names,
  type Recording,
  readRecordings,
  recordingsFolder,
  replay,
} from '#apiserver/testing/recordings.ts';
import { startTestServer, type TestServer } from '#apiserver/testing/start.ts';
import { sameJson } from '#lib/std/same-json.ts';

function start(): Promise<TestServer> {
  return startTestServer({ crds: readCrdFile(join(recordingsFolder, 'crd.yaml')) });
}

function sameAnswer(theirs: { status: number; body: Json }, reply: Reply): boolean {
  const expected = comparable(theirs.status, theirs.body);
  return sameJson(expected, comparable(reply.status, bodyOf(reply)));
}

/** Ours differs, and why. It is sent as a dry run, so that the steps behind it find what they found there. */
const differs: Readonly<Record<string, string>> = {
  'apply-scale-force': 'Kubernetes cannot convert a Scale back to a custom resource (500); here the figure is taken',
};

test('52 recorded steps come out alike, managedFields included', { timeout: 60_000 }, async () => {
  await using started = await start();
  const names: Names = { map: new Map() };
  const different: string[] = [];
  // It clears away what was there before the recording.
  const [, ...steps] = readRecordings('server-side-apply.json');
  for (const step of steps) {
    const sent = step.label in differs ? asDryRun(step) : step;
    const reply = await replay(sent, started.request, names);
    if (!sameAnswer(step.response, reply)) different.push(step.label);
  }
  expect(steps.length).toBe(51);
  expect(different).toEqual(Object.keys(differs));
});

function asDryRun(recording: Recording): Recording {
  const { request } = recording;
  return { ...recording, request: { ...request, path: `${request.path}&dryRun=All` } };
}

interface Operation {
  readonly request: {
    readonly method: string;
    readonly path: string;
    readonly contentType: string;
    readonly body: JsonObject;
    readonly useCurrentResourceVersion?: boolean;
  };
  readonly response: { readonly status: number; readonly body: JsonObject };
}

function readOperations(): Operation[] {
  const text = gunzipSync(readFileSync(join(recordingsFolder, 'server-side-apply-operations.jsonl.gz'))).toString(
    'utf8',
  );
  return text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Operation);
}

/**
 * The one defect of Kubernetes that is not followed: when the last item of a list or the last entry of a map is taken back by its applier
 * while somebody else owns the container, it leaves null there, and refuses its own result. Here the container stays, empty.
 */
function meetsDefect({ response }: Operation): boolean {
  const causes = atPath(response.body, ['details', 'causes']);
  return (
    response.status === 422 &&
    Array.isArray(causes) &&
    causes.some((cause) => isObject(cause) && /must be of type (array|object): "null"/.test(String(cause.message)))
  );
}

test('1,500 recorded operations come out alike, managedFields included', { timeout: 120_000 }, async () => {
  await using started = await start();
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const request = createRequester(started.server.url, started.authority.certificate, started.token, agent);
  const different: number[] = [];
  const better: JsonObject[] = [];
  const operations = readOperations();
  for (const [index, operation] of operations.entries()) {
    const defect = meetsDefect(operation);
    const reply = await send(request, operation, defect);
    if (defect && reply.status === 200) better.push(reply.json());
    else if (!sameAnswer(operation.response, reply)) different.push(index);
  }
  agent.destroy();
  expect(operations.length).toBe(1500);
  expect(different).toEqual([]);
  expect(better.length).toBe(17);
  for (const object of better) expect(emptyContainers(object)).not.toEqual([]);
});

async function send(request: Requester, { request: sent }: Operation, dryRun: boolean): Promise<Reply> {
  const { method, path, contentType, body, useCurrentResourceVersion = false } = sent;
  const metadata = body.metadata as JsonObject;
  const current = useCurrentResourceVersion ? await request(path.replace(/\?.*/, '')) : undefined;
  const resourceVersion = current && atPath(current.json(), ['metadata', 'resourceVersion']);
  return await request(dryRun ? `${path}&dryRun=All` : path, {
    method,
    headers: { 'content-type': contentType },
    body: resourceVersion === undefined ? body : { ...body, metadata: { ...metadata, resourceVersion } },
  });
}

function emptyContainers({ spec }: JsonObject): string[] {
  return Object.entries(spec as JsonObject)
    .filter(([, value]) => typeof value === 'object' && Object.keys(value ?? []).length === 0)
    .map(([name]) => name);
}
