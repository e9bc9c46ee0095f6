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
import { listNewest, requireNotOlder } from './list.ts';
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
  /** Whether the present state comes first, as ADDED events. */
  readonly showsPresent: boolean;
  /** Whether the end of that state is marked: the streaming list of newer clients. */
  readonly marksEnd: boolean;
  readonly bookmarks: boolean;
  readonly durationMs: number;
}

/** Clients that name no timeout are sent away after 30 to 60 minutes, spread by chance, so that they do not all come back at once. */
const minDurationMs = 1_800_000;
const cacheWaitMs = 3_000;

/**
 * Rejects before anything is sent: Expired for a revision that is gone, Invalid for options that do not go together, Timeout if a state
 * is asked for that cannot be shown in time. A watch from a revision yet to come is silent until then.
 */
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
  const { from, present } = await startOf(context, call, cache, query);
  const client = cache.watch(from, { prefix, wants });
  return {
    messages: messagesOf(present ? startingWith(present, client) : client, names, query),
    bookmark: () => (query.bookmarks ? client.bookmarkRev : undefined),
    durationMs: query.durationMs,
    [Symbol.dispose]: () => client[Symbol.dispose](),
  };
}

interface Start {
  /** Undefined for the state of the cache. */
  readonly from: bigint | undefined;
  /** A state read from the store, where the cache cannot show in time that it has it. */
  readonly present?: Batch<StoredObject>;
}

/** Kubernetes' "resource versions" of watch: none is the newest state, 0 any, another one at least that. */
async function startOf(context: ServerContext, call: Call, cache: ObjectCache, query: Query): Promise<Start> {
  const { from, showsPresent } = query;
  if (!showsPresent) return { from: from === 0n ? cache.rev : (from ?? (await context.store.currentRev())) };
  const shown = from === undefined ? cache.isCurrent(cacheWaitMs) : cache.waitFor(from, cacheWaitMs);
  if (await shown) return { from: undefined };
  const present = await snapshot(context, call);
  requireNotOlder(present.rev, from);
  return { from: present.rev, present };
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
  const from = parseRevision(query.get('resourceVersion'));
  const initialEvents = query.get('sendInitialEvents');
  checkMatch(query, initialEvents);
  const seconds = readInteger(query, 'timeoutSeconds');
  return {
    from,
    showsPresent: initialEvents === null ? !from : isTrue(initialEvents),
    marksEnd: isTrue(initialEvents),
    bookmarks: isTrue(query.get('allowWatchBookmarks')),
    durationMs: seconds ? seconds * 1000 : minDurationMs * (1 + context.random.next()),
  };
}

function checkMatch(query: URLSearchParams, initialEvents: string | null): void {
  const match = query.get('resourceVersionMatch') ?? '';
  const refuse = (why: string) => invalidOption('ListOptions', forbidden('resourceVersionMatch', why));
  if (initialEvents !== null && match !== 'NotOlderThan')
    throw refuse('sendInitialEvents requires setting resourceVersionMatch to NotOlderThan');
  if (initialEvents === null && match !== '')
    throw refuse('resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided');
  if (match !== '' && query.get('continue'))
    throw refuse('resourceVersionMatch is forbidden when continue is provided');
}

async function* messagesOf(
  batches: AsyncIterable<Batch<StoredObject>>,
  matches: (object: StoredObject) => boolean,
  query: Query,
): AsyncIterable<readonly WatchMessage[]> {
  for await (const batch of batches) {
    const messages: WatchMessage[] = batch.events.flatMap((event) => messageOf(event, matches));
    if (batch.initial && query.marksEnd && query.bookmarks)
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
  return before ? [{ type: 'DELETED', entry: leaving(event.prev, event) }] : [];
}

/** The state before an event under the event's revision, the same one for every client that no longer sees the object. */
function leaving(prev: Cached<StoredObject>, { entry, rev }: CacheEvent<StoredObject>): Cached<StoredObject> {
  const known = entry.memo.get('leaving') as Cached<StoredObject> | undefined;
  if (known) return known;
  const metadata = { ...prev.object.metadata, resourceVersion: String(rev) };
  const made = { key: prev.key, rev, object: { ...prev.object, metadata }, memo: new Map() };
  entry.memo.set('leaving', made);
  return made;
}
