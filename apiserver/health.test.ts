import { expect, test } from 'vitest';
import { VirtualClock } from '#test/virtual-clock.ts';
import { createHealth } from './health.ts';
import { startTestServer } from './testing/start.ts';

const none = new URLSearchParams();
const names = ['ping', 'log', 'etcd', 'etcd-readiness', 'informer-sync', 'shutdown'];

test('every check has a path of its own, and all of them pass on a server that has started', async () => {
  await using started = await startTestServer();
  for (const name of names) expect((await started.request(`/readyz/${name}`, { token: undefined })).text).toBe('ok');
  const { status, text, headers } = await started.request('/readyz?verbose');
  expect(status).toBe(200);
  expect(headers['content-type']).toBe('text/plain; charset=utf-8');
  expect(text).toBe(`${names.map((name) => `[+]${name} ok`).join('\n')}\nreadyz check passed\n`);
  expect((await started.request('/readyz')).text).toBe('ok');
  expect((await started.request('/readyz/nothing')).status).toBe(404);
  expect((await started.request('/livez/shutdown')).status).toBe(404);
});

test('a check that fails, throws or hangs is named, without why', async () => {
  const clock = new VirtualClock();
  const health = createHealth(
    [
      { name: 'ping', passes: () => true },
      { name: 'no', passes: () => false },
      { name: 'thrown/deep', passes: () => Promise.reject(new Error('a password')) },
      { name: 'hung', passes: () => new Promise<boolean>(() => undefined), readyOnly: true },
    ],
    clock,
  );
  const answer = health('/readyz', none);
  await clock.advance(2_000);
  expect(await answer).toEqual({
    status: 500,
    text: '[+]ping ok\n[-]no failed: reason withheld\n[-]thrown/deep failed: reason withheld\n[-]hung failed: reason withheld\nreadyz check failed\n',
  });
  expect(await health('/livez/thrown/deep', none)).toEqual({
    status: 500,
    text: 'internal server error: reason withheld\n',
  });
});

test('what is excluded is not asked, and a name that means nothing is pointed out', async () => {
  const health = createHealth(
    [
      { name: 'ping', passes: () => true },
      { name: 'etcd', passes: () => false },
    ],
    new VirtualClock(),
  );
  expect(await health('/livez', new URLSearchParams('exclude=etcd'))).toEqual({ status: 200, text: 'ok' });
  expect((await health('/livez', new URLSearchParams('exclude=etcd&exclude=x&verbose')))?.text).toBe(
    '[+]ping ok\n[+]etcd excluded: ok\nwarn: some health checks cannot be excluded: no matches for "x"\nlivez check passed\n',
  );
});
