/** Replays what a real Kubernetes API server was asked, and holds our answers against its answers. */
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { equalJson, type Json } from './json/json.ts';
import { readCrdFile } from './resources/crd.ts';
import { createDefinitions } from './testing/definitions.ts';
import { bodyOf, comparable, type Names, readRecordings, recordingsFolder, replay } from './testing/recordings.ts';
import { startTestServer } from './testing/start.ts';

/** Not sent: the answer tells of a state before the recording. */
const notSent = new Set(['cleanup']);

/** Ours differs, and why. */
const differs: Readonly<Record<string, string>> = {
  'post-wrong-kind': 'the second cause is that of a CEL rule',
  'post-pb': 'the recording proxy failed; a custom resource as protobuf is 400',
};

/** Revisions of the recording that had been compacted when they were asked for. */
const compacted = new Set(['continue-old', 'rv-exact-compacted']);

test('answers agree with those recorded from a real API server', { timeout: 60_000 }, async () => {
  await using started = await startTestServer({ crds: [] });
  await createDefinitions(started, readCrdFile(join(recordingsFolder, 'crd.yaml')));
  const names: Names = { map: new Map() };
  const different: string[] = [];
  const recordings = readRecordings().filter(({ label }) => !notSent.has(label));
  for (const recording of recordings) {
    // Everything older is gone, as on the recording server; nothing later in the recording looks back.
    if (compacted.has(recording.label)) await started.store.compact(2n);
    const reply = await replay(recording, started.request, names);
    const { status, body } = recording.response;
    const theirs = comparable(status, typeof body === 'string' ? bodyOf({ text: body }) : (body as Json));
    if (!equalJson(theirs, comparable(reply.status, bodyOf(reply)))) different.push(recording.label);
  }
  expect(recordings.length).toBe(123);
  expect(different.sort()).toEqual(Object.keys(differs).sort());
});
