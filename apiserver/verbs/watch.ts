/** Watches: what a client asked to hear of, from which moment on, as a sequence of events. The form they are sent in is decided elsewhere. */
import type { Batch } from '#apiserver/cache/client-watch.ts';
import type { Cached, CacheEvent } from '#apiserver/cache/events.ts';
import type { Call } from '#apiserver/http/call.ts';
import { isTrue } from '#apiserver/http/request-info.ts';
import { invalidOption } from '#apiserver/http/status.ts';
import type { StoredObject } from '#apiserver/json/object.ts';
import { forbidden } from '#apiserver/schema/causes.ts';
import { selectionOf } from '#apiserver/selectors/selection.ts';
import { keyOf, prefixOf } from '#apiserver/storage/keys.ts';
import type { ObjectCache } from '#apiserver/storage/version-view.ts';
import { ApiError } from '#lib/std/errors.ts';
import { listNewest } from './list.ts';
import { readInteger } from './options.ts';
import { parseRevision } from './revision.ts';
import type { ServerContext } from './server-context.ts';

export type WatchMessage =
  | { readonly type: 'ADDED' | 'MODIFIED' | 'DELETED'; readonly entry: Cached<StoredObject> }
  | { readonly type: 'BOOKMARK'; readonly rev: bigint; readonly initialEventsEnd: boolean };

export interface Watching extends Disposable {
  /** Ends when the watch does; the client then resumes from the last revision it got. */
  readonly messages: AsyncIterable<readonly WatchMessage[]>;
  /** The revision that a bookmark may name now; undefined while something is still to be sent or no bookmarks are wanted. */
  bookmark(): bigint | undefined;
  /** How long to go on, in milliseconds. */
  readonly durationMs: number;
}

interface Query {
  readonly from: bigint | undefined;
  readonly initialEvents: boolean;
  readonly bookmarks: boolean;
  readonly durationMs: number;
}

/** Clients that name no timeout are sent away after 30 to 60 minutes, spread by chance, so that they do not all come back at once. */
const minDurationMs = 1_800_000;
const cacheWaitMs = 3_000;

/** Rejects before anything is sent: Expired for a revision that is gone, Invalid for options that do not go together. */
export async function watch(context: ServerContext, call: Call): Promise<Watching> {
  const { resource, path } = call;
  const query = readQuery(call, context);
  const { matches } = selectionOf(call.query, resource);
  const names =
    path.name === undefined ? matches : (object: StoredObject) => object.metadata.name === path.name && matches(object);
  const cache = context.caches.of(resource);
  const wants = (event: CacheEvent<StoredObject>) =>
    names(event.entry.object) || (event.prev !== undefined && names(event.prev.object));
  if (!(await cache.waitFor(0n, cacheWaitMs))) throw notReady();
  const prefix = prefixOf(resource, path.namespace);
  const present = (await mustList(cache, query)) ? await snapshot(context, call) : undefined;
  const from = present ? present.rev : query.initialEvents ? undefined : query.from;
  const client = await cache.watch(from, { prefix, wants });
  return {
    messages: messagesOf(present ? startingWith(present, client) : client, names, query),
    bookmark: () => (query.bookmarks ? client.bookmarkRev : undefined),
    durationMs: query.durationMs,
    [Symbol.dispose]: () => client[Symbol.dispose](),
  };
}

/**
 * Whether the client wants to begin with a state that the cache cannot show to have: the newest, or one that it has yet to reach. Where
 * progress is not reliable (see Store.reliableProgress) that is never known of a quiet resource.
 */
async function mustList(cache: ObjectCache, query: Query): Promise<boolean> {
  if (query.from === undefined) return !(await cache.isCurrent(cacheWaitMs));
  if (!query.initialEvents || query.from === 0n) return false;
  return cache.rev === undefined || cache.rev < query.from;
}

async function snapshot(context: ServerContext, call: Call): Promise<Batch<StoredObject>> {
  const { items, rev } = await listNewest(context.store, call);
  const events = items.map((object) => {
    const { namespace, name, resourceVersion } = object.metadata;
    const entry = { key: keyOf(call.resource, namespace, name), object, rev: BigInt(resourceVersion), memo: new Map() };
    return { type: 'ADDED', rev: entry.rev, entry } as const;
  });
  return { initial: true, events, rev };
}

async function* startingWith<T>(first: Batch<T>, rest: AsyncIterable<Batch<T>>): AsyncIterable<Batch<T>> {
  yield first;
  yield* rest;
}

function notReady(): ApiError {
  return new ApiError('Timeout', 'Timeout: the watch cache has yet to catch up with the store, try again', {
    details: { retryAfterSeconds: 1 },
  });
}

function readQuery({ query }: Call, context: ServerContext): Query {
  const bookmarks = isTrue(query.get('allowWatchBookmarks'));
  const initialEvents = isTrue(query.get('sendInitialEvents'));
  const match = query.get('resourceVersionMatch') ?? '';
  const refuse = (why: string) => invalidOption('ListOptions', forbidden('resourceVersionMatch', why));
  if (query.get('sendInitialEvents') !== null && match !== 'NotOlderThan')
    throw refuse('sendInitialEvents requires setting resourceVersionMatch to NotOlderThan');
  if (query.get('sendInitialEvents') === null && match !== '')
    throw refuse('resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided');
  const seconds = readInteger(query, 'timeoutSeconds');
  const durationMs = seconds ? seconds * 1000 : minDurationMs * (1 + context.random.next());
  return { from: parseRevision(query.get('resourceVersion')), initialEvents, bookmarks, durationMs };
}

async function* messagesOf(
  batches: AsyncIterable<Batch<StoredObject>>,
  matches: (object: StoredObject) => boolean,
  query: Query,
): AsyncIterable<readonly WatchMessage[]> {
  for await (const batch of batches) {
    const messages: WatchMessage[] = batch.events.flatMap((event) => messageOf(event, matches));
    if (batch.initial && query.initialEvents && query.bookmarks)
      messages.push({ type: 'BOOKMARK', rev: batch.rev, initialEventsEnd: true });
    if (messages.length > 0) yield messages;
  }
}

/** An object that starts to match a selector looks added, one that stops looks deleted, in its last state that matched. */
function messageOf(event: CacheEvent<StoredObject>, matches: (object: StoredObject) => boolean): WatchMessage[] {
  const now = event.type !== 'DELETED' && matches(event.entry.object);
  const before = event.prev !== undefined && matches(event.prev.object);
  if (event.type === 'DELETED') return before ? [{ type: 'DELETED', entry: event.entry }] : [];
  if (now) return [{ type: before ? 'MODIFIED' : 'ADDED', entry: event.entry }];
  return before ? [{ type: 'DELETED', entry: atRevision(event.prev, event.rev) }] : [];
}

function atRevision(entry: Cached<StoredObject>, rev: bigint): Cached<StoredObject> {
  const metadata = { ...entry.object.metadata, resourceVersion: String(rev) };
  return { key: entry.key, rev, object: { ...entry.object, metadata }, memo: new Map() };
}
