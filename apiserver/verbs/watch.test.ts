/** Watches whose cache cannot be shown to be up to date in time, as while etcd takes no writes. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { Call } from '#apiserver/http/call.ts';
import { builtins } from '#apiserver/resources/builtin.ts';
import { createCaches } from '#apiserver/storage/caches.ts';
import { encode } from '#apiserver/storage/codec.ts';
import { openStore } from '#apiserver/store/open.ts';
import type { Store } from '#apiserver/store/store.ts';
import { openAccess } from '#apiserver/testing/access.ts';
import { systemClock } from '#lib/std/clock.ts';
import { silentLog } from '#lib/std/log.ts';
import { seededRandom } from '#lib/std/random.ts';
import { type WatchMessage, watch } from './watch.ts';

const maps = builtins.find(({ kind }) => kind === 'ConfigMap')!;

/** The same store, but it never tells of progress. */
function withoutProgress(store: Store): Store {
  return new Proxy(store, {
    get(target, name) {
      if (name === 'watch')
        return (prefix: string, from: bigint, sink: Parameters<Store['watch']>[2]) =>
          target.watch(prefix, from, {
            ...sink,
            events: sink.events.bind(sink),
            ended: sink.ended.bind(sink),
            resumed: () => undefined,
            progress() {},
          });
      const value: unknown = Reflect.get(target, name);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}

function put(store: Store, name: string) {
  const object = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, namespace: 'default', uid: name } };
  return store.create(`core/configmaps/default/${name}`, encode(object, maps));
}

function callOf(query: string): Call {
  return {
    method: 'GET',
    path: { type: 'resource', group: '', version: 'v1', plural: 'configmaps', namespace: 'default', watch: false },
    resource: maps,
    query: new URLSearchParams(query),
    user: { name: 'test', groups: [] },
    headers: { accept: undefined, contentType: undefined, userAgent: undefined },
    signal: new AbortController().signal,
    body: () => Promise.resolve(Buffer.alloc(0)),
    require: () => undefined,
    warn: () => undefined,
  };
}

const told = (message: WatchMessage) =>
  message.type === 'BOOKMARK' ? 'BOOKMARK' : `${message.type} ${message.entry.object.metadata.name}`;

test.each([
  ['watch=true', ['ADDED a', 'ADDED b']],
  [
    'watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true',
    ['ADDED a', 'BOOKMARK', 'ADDED b'],
  ],
])('%s begins with the newest state although other resources went on', async (query, expected) => {
  await using stack = new AsyncDisposableStack();
  const folder = mkdtempSync(join(tmpdir(), 'watch-'));
  stack.defer(() => rmSync(folder, { recursive: true, force: true }));
  const inner = stack.use(await openStore(`sqlite:${join(folder, 'store')}`, { clock: systemClock, log: silentLog }));
  const store = withoutProgress(inner);
  const random = seededRandom(1);
  const caches = stack.use(createCaches({ store, clock: systemClock, random, log: silentLog }));
  await put(store, 'a');
  await caches.of(maps).waitFor(0n, 5_000);
  // The cache cannot hear of this one, so it does not know whether it is up to date.
  await store.create('core/secrets/default/other', new Uint8Array([1]));
  using watching = await watch(
    { access: openAccess(), serviceAccountTokens: undefined, store, caches, clock: systemClock, random },
    callOf(query),
  );
  const seen: string[] = [];
  let written: Promise<unknown> | undefined;
  for await (const messages of watching.messages) {
    seen.push(...messages.map(told));
    written ??= put(store, 'b');
    if (seen.includes('ADDED b')) break;
  }
  await written;
  expect(seen).toEqual(expected);
});
