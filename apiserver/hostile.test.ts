/** Every sample is refused or answered rightly, soon, and the server is as it was before. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { maps, samples, target, widget, widgetCrd } from './testing/hostile-samples.ts';
import { type LoopWatch, watchLoop } from './testing/loop-watch.ts';
import { startTestServer, type TestServer } from './testing/start.ts';

const answerMs = 1_000;
const blockedMs = 100;

let started: TestServer;
let loop: LoopWatch;
const figures: { readonly name: string; readonly ms: number; readonly blocked: number }[] = [];

beforeAll(async () => {
  started = await startTestServer({ crds: [widgetCrd] });
  const create = (path: string, body: object) => started.request(path, { method: 'POST', body });
  const metadata = (name: string) => ({ name, labels: { a: 'x' }, finalizers: ['a.example/b'] });
  await create(maps, { apiVersion: 'v1', kind: 'ConfigMap', metadata: metadata('target'), data: { a: '1' } });
  const list = Array(30_000).fill(1);
  const body = {
    apiVersion: 'hostile.example/v1',
    kind: 'Widget',
    metadata: metadata('target'),
    spec: { code: 'aa', list },
  };
  expect((await create(widget.replace(/\/target$/, ''), body)).status).toBe(201);
  loop = watchLoop();
});

afterAll(async () => {
  loop[Symbol.dispose]();
  await started[Symbol.asyncDispose]();
  const worst = (key: 'ms' | 'blocked') => figures.toSorted((a, b) => b[key] - a[key]).slice(0, 3);
  const shown = (key: 'ms' | 'blocked') =>
    worst(key)
      .map((figure) => `${Math.round(figure[key])} ms (${figure.name})`)
      .join(', ');
  process.stdout.write(
    `hostile samples: ${figures.length}; slowest ${shown('ms')}; loop blocked ${shown('blocked')}\n`,
  );
});

/** Names of everything that all objects inherit. */
function inherited(): string {
  const roots = [Object, Array, Function, String, Number, Map, Promise].map(({ prototype }) => prototype as object);
  return JSON.stringify(roots.map((root) => Reflect.ownKeys(root).map(String)));
}

test.each(samples)('$name', async ({ name, path, send, status, says, hides }) => {
  const before = inherited();
  loop.takeLongestMs();
  const began = performance.now();
  const reply = await started.request(path, send);
  const ms = performance.now() - began;
  const blocked = loop.takeLongestMs();
  figures.push({ name, ms, blocked });
  expect(status, reply.text.slice(0, 300)).toContain(reply.status);
  if (says) expect(reply.text).toMatch(says);
  if (hides) expect(reply.text).not.toMatch(hides);
  // Before there is a request, and where there is nothing, no Status is due.
  if (reply.status >= 400 && reply.status !== 431 && reply.status !== 404)
    expect(reply.json()).toMatchObject({ kind: 'Status', code: reply.status });
  if (reply.status >= 400) expect(reply.text.length).toBeLessThan(100_000);
  expect(inherited()).toBe(before);
  expect(blocked).toBeLessThanOrEqual(blockedMs);
  expect(ms).toBeLessThanOrEqual(answerMs);
  expect((await started.request(target)).status).toBe(200);
});

test('a watch at a resourceVersion to come says nothing, and ends in its time', async () => {
  const path = `${maps}?watch=1&resourceVersion=99999999999999&timeoutSeconds=1`;
  expect((await started.request(path)).text).toBe('');
});
