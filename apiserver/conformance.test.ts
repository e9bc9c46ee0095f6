/** Replays what a real Kubernetes API server was asked, and holds our answers against its answers. */
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { sameJson } from '#lib/std/same-json.ts';
import type { Json, JsonObject } from './json/json.ts';
import { readCrdFile } from './resources/crd.ts';
import { createDefinitions } from './testing/definitions.ts';
import {
  bodyOf,
  comparable,
  type Names,
  type Recording,
  readRecordings,
  recordingsFolder,
  replay,
  wordsOf,
} from './testing/recordings.ts';
import { startTestServer, type TestServer } from './testing/start.ts';

/** Ours differs, and why. */
const differs: Readonly<Record<string, string>> = {
  'post-pb': 'the recording proxy failed; a custom resource as protobuf is 400',
};

/** The same mistake is found, and told in other words. */
const otherWords: Readonly<Record<string, string>> = {
  'put-uid-mismatch': 'there the key in the store is named too',
  'continue-bad': 'there it ends in what the Go decoder makes of the garbage',
};

/** Revisions of the recording that had been compacted when they were asked for. */
const compacted = new Set(['continue-old', 'rv-exact-compacted']);

/** What the recording finds when it begins, and clears away. */
async function createWhatWasThere({ request }: TestServer, { request: { path }, response }: Recording): Promise<void> {
  for (const { metadata, ...rest } of (response.body as { items: JsonObject[] }).items) {
    const { name, generateName } = metadata as { name: string; generateName?: string };
    const reply = await request(path, {
      method: 'POST',
      headers: { 'user-agent': 'node' },
      body: { ...rest, metadata: { name, ...(generateName ? { generateName } : {}) } },
    });
    expect(reply.status, reply.text).toBe(201);
  }
}

test('answers agree with those recorded from a real API server', { timeout: 60_000 }, async () => {
  await using started = await startTestServer({ crds: [] });
  await createDefinitions(started, readCrdFile(join(recordingsFolder, 'crd.yaml')));
  const names: Names = { map: new Map() };
  const different: string[] = [];
  const reworded: string[] = [];
  const recordings = readRecordings();
  await createWhatWasThere(started, recordings[0]!);
  for (const recording of recordings) {
    // Everything older is gone, as on the recording server; nothing later in the recording looks back.
    if (compacted.has(recording.label)) await started.store.compact(2n);
    const reply = await replay(recording, started.request, names);
    const { status, body } = recording.response;
    const theirs = typeof body === 'string' ? bodyOf({ text: body }) : (body as Json);
    const ours = bodyOf(reply);
    if (!sameJson(comparable(status, theirs), comparable(reply.status, ours))) different.push(recording.label);
    else if (!sameJson(wordsOf(theirs, names), wordsOf(ours, names))) reworded.push(recording.label);
  }
  expect(recordings.length).toBe(124);
  expect(different).toEqual(Object.keys(differs));
  expect(reworded).toEqual(Object.keys(otherWords));
});
