import { afterAll, beforeAll, expect, test } from 'vitest';
import { readLines } from '#apiserver/testing/http.ts';
import { startTestServer, type TestServer } from '#apiserver/testing/start.ts';

let started: TestServer;
beforeAll(async () => {
  started = await startTestServer();
});
afterAll(() => started[Symbol.asyncDispose]());

const maps = '/api/v1/namespaces/default/configmaps';

async function scrape(): Promise<string> {
  const { text } = await started.request('/metrics');
  return text;
}

const figure = (text: string, series: string) =>
  Number(
    text
      .split('\n')
      .find((line) => line.startsWith(`${series} `))
      ?.slice(series.length + 1) ?? Number.NaN,
  );

test('the figures are in the format that Prometheus reads', async () => {
  await started.request(maps);
  const text = await scrape();
  const line =
    /^[a-z_]+(?:\{[a-z_]+="(?:[^"\\\n]|\\["\\n])*"(?:,[a-z_]+="(?:[^"\\\n]|\\["\\n])*")*\})? (?:[\d.e+-]+|NaN)$/;
  const declared = new Set<string>();
  for (const row of text.trimEnd().split('\n')) {
    const [, kind, name] = /^# (HELP|TYPE) ([a-z_]+) /.exec(row) ?? [];
    if (kind === 'TYPE') {
      expect(declared.has(name!), `${name} twice`).toBe(false);
      declared.add(name!);
    } else if (kind === undefined) {
      expect(row).toMatch(line);
      expect(declared).toContain(/^[a-z_]+/.exec(row)![0].replace(/_(?:bucket|sum|count)$/, ''));
    }
  }
  expect(text.endsWith('\n')).toBe(true);
  expect(new Set(text.trimEnd().split('\n')).size).toBe(text.trimEnd().split('\n').length);
});

test('buckets rise, and the last one counts all', async () => {
  const text = await scrape();
  const labels = 'verb="LIST",group="",version="v1",resource="configmaps",subresource="",scope="namespace"';
  const name = 'apiserver_request_duration_seconds';
  const counts = [...text.matchAll(new RegExp(`^${name}_bucket\\{${labels},le="[^"]+"\\} (\\d+)$`, 'gm'))].map(
    (match) => Number(match[1]),
  );
  expect(counts).toEqual([...counts].sort((a, b) => a - b));
  expect(counts.at(-1)).toBe(figure(text, `${name}_count{${labels}}`));
  expect(counts.at(-1)).toBeGreaterThan(0);
});

test('requests are counted by what was asked and answered, whatever words the client chose', async () => {
  await started.request(`${maps}/a${crypto.randomUUID()}`);
  await started.request(`/apis/made.up/v1/${crypto.randomUUID()}`);
  await started.request(maps, { token: 'wrong' });
  const text = await scrape();
  const labels = 'verb="GET",group="",version="v1",resource="configmaps",subresource="",scope="resource"';
  expect(figure(text, `apiserver_request_total{${labels},code="404"}`)).toBe(1);
  expect(figure(text, 'authentication_attempts{result="failure"}')).toBe(1);
  expect(figure(text, 'authorization_attempts_total{result="allowed"}')).toBeGreaterThan(2);
  expect(text).not.toContain('made.up');
});

test('watches, objects and the store have figures', async () => {
  const options = { ca: started.authority.certificate, token: started.token };
  let during = '';
  const lines = await readLines(`${started.server.url}/api/v1/namespaces?watch=1&timeoutSeconds=1`, options, (seen) => {
    if (seen.length > 0 && during === '') void scrape().then((text) => (during = text));
    return false;
  });
  const after = await scrape();
  expect(lines.length).toBeGreaterThan(0);
  expect(figure(during, 'apiserver_longrunning_requests{verb="WATCH",resource="namespaces"}')).toBe(1);
  expect(figure(after, 'apiserver_longrunning_requests{verb="WATCH",resource="namespaces"}')).toBe(0);
  expect(figure(after, 'apiserver_watch_events_total{group="",version="v1",resource="namespaces"}')).toBe(lines.length);
  expect(figure(after, 'apiserver_storage_objects{resource="namespaces"}')).toBe(lines.length);
  expect(figure(after, 'etcd_request_duration_seconds_count{operation="create",type="core/namespaces"}')).toBe(
    lines.length,
  );
});
