import type { Answer, Call } from '#apiserver/http/call.ts';
import { badRequest, ExpiredContinueError, invalidOption } from '#apiserver/http/status.ts';
import type { JsonObject } from '#apiserver/json/json.ts';
import type { StoredObject } from '#apiserver/json/object.ts';
import { apiVersionOf, type Resource } from '#apiserver/resources/resource.ts';
import { forbidden, notSupported } from '#apiserver/schema/causes.ts';
import { type ContinueToken, readContinue, writeContinue } from '#apiserver/selectors/continue.ts';
import { type Selection, selectionOf } from '#apiserver/selectors/selection.ts';
import { decode } from '#apiserver/storage/codec.ts';
import { prefixOf } from '#apiserver/storage/keys.ts';
import { CompactedError, FutureRevisionError, type ListResult, type Store } from '#apiserver/store/store.ts';
import { ApiError } from '#lib/std/errors.ts';
import { readInteger } from './options.ts';
import { parseRevision } from './revision.ts';
import type { ServerContext } from './server-context.ts';

/** What a page of a list is: the objects, where the next page starts, and of which moment it speaks. */
export interface Page {
  readonly items: readonly StoredObject[];
  readonly rev: bigint;
  readonly next?: string;
  /** Objects behind this page; not known when a selector leaves some out. */
  readonly remaining?: number;
}

interface Query {
  readonly prefix: string;
  readonly limit: number;
  /** List at exactly this revision. */
  readonly at?: bigint;
  /** The newest state must be at least this. */
  readonly notOlder?: bigint;
  readonly after: string;
  readonly selection: Selection;
}

/** The store answers a list as well, only slower: so there is no use in waiting long. */
const cacheWaitMs = 500;
/** Objects read from the store at once while a selector leaves most of them out. */
const maxScan = 10_000;

export async function list(context: ServerContext, call: Call): Promise<Answer> {
  const { resource } = call;
  return { status: 200, body: listObject(resource, await read(context, resource, readQuery(call))) };
}

/** Whole lists of the present come from the cache if it is known to be up to date; pages and the past come from the store. */
async function read(context: ServerContext, resource: Resource, query: Query): Promise<Page> {
  const whole = query.limit === 0 && query.at === undefined && query.after === '';
  const cached = whole ? await readCache(context, resource, query) : undefined;
  return cached ?? (await readPage(context.store, resource, query));
}

async function readCache(context: ServerContext, resource: Resource, query: Query): Promise<Page | undefined> {
  const cache = context.caches.of(resource);
  if (cache.rev === undefined || (query.notOlder !== undefined && query.notOlder > cache.rev)) return undefined;
  if (query.notOlder === undefined && !(await cache.isCurrent(cacheWaitMs))) return undefined;
  const { entries, rev } = cache.list(query.prefix);
  return { items: entries.map((entry) => entry.object).filter(query.selection.matches), rev };
}

/** The objects that the query selects, one page of them if it has a limit, for those who go on to do something with each. */
export async function listSelected(context: ServerContext, call: Call): Promise<Page> {
  return await read(context, call.resource, readQuery(call));
}

/** All objects that a watch is to begin with, from the store, whatever the query says of revisions. */
export async function listNewest(store: Store, { resource, path, query }: Call): Promise<Page> {
  const selection = selectionOf(query, resource);
  return await readPage(store, resource, {
    prefix: prefixOf(resource, path.namespace),
    limit: 0,
    after: '',
    selection,
  });
}

export function listObject(resource: Resource, page: Page): JsonObject {
  return {
    apiVersion: apiVersionOf(resource),
    kind: resource.listKind,
    metadata: {
      resourceVersion: String(page.rev),
      ...(page.next === undefined ? {} : { continue: page.next }),
      ...(page.remaining === undefined ? {} : { remainingItemCount: page.remaining }),
    },
    items: page.items as StoredObject[],
  };
}

/** The rules of resourceVersion, resourceVersionMatch, limit and continue (Kubernetes API concepts, "resource versions"). */
function readQuery({ query, resource, path }: Call): Query {
  const limit = readInteger(query, 'limit') ?? 0;
  const rev = parseRevision(query.get('resourceVersion'));
  const match = query.get('resourceVersionMatch') ?? '';
  const token = query.get('continue') ?? '';
  checkMatch(match, query.get('resourceVersion') ?? '', token);
  if (query.get('sendInitialEvents') !== null)
    throw invalidOption('ListOptions', forbidden('sendInitialEvents', 'sendInitialEvents is forbidden for list'));
  const base = { prefix: prefixOf(resource, path.namespace), selection: selectionOf(query, resource) };
  if (token !== '') return { ...base, ...readToken(token, rev), limit };
  if (rev === undefined) return { ...base, limit, after: '' };
  if (rev === 0n) return { ...base, limit: 0, after: '', notOlder: 0n };
  const exact = match === 'Exact' || (match === '' && limit > 0);
  return { ...base, limit, after: '', ...(exact ? { at: rev } : { notOlder: rev }) };
}

function checkMatch(match: string, rev: string, token: string): void {
  if (match === '') return;
  const refuse = (why: string) => invalidOption('ListOptions', forbidden('resourceVersionMatch', why));
  if (rev === '') throw refuse('resourceVersionMatch is forbidden unless resourceVersion is provided');
  if (token !== '') throw refuse('resourceVersionMatch is forbidden when continue is provided');
  if (match !== 'Exact' && match !== 'NotOlderThan')
    throw invalidOption('ListOptions', notSupported('resourceVersionMatch', match, ['Exact', 'NotOlderThan', '']));
  if (match === 'Exact' && rev === '0')
    throw refuse('resourceVersionMatch "exact" is forbidden for resourceVersion "0"');
}

function readToken(text: string, rev: bigint | undefined): { at?: bigint; after: string } {
  if (rev !== undefined && rev !== 0n)
    throw badRequest('specifying resource version is not allowed when using continue');
  const token = readContinue(text);
  return token.rev > 0n ? { at: token.rev, after: token.after } : { after: token.after };
}

async function readPage(store: Store, resource: Resource, query: Query): Promise<Page> {
  const items: StoredObject[] = [];
  let after = query.after;
  let at = query.at;
  for (;;) {
    const result = await listStore(store, query, at, after, chunkOf(query, items.length));
    requireNotOlder(result.rev, query.notOlder);
    at = result.rev;
    for (const kv of result.kvs) {
      after = kv.key.slice(query.prefix.length);
      const object = decode(kv.value, kv.modRev, resource);
      if (query.selection.matches(object)) items.push(object);
      if (query.limit > 0 && items.length === query.limit) break;
    }
    const full = query.limit > 0 && items.length >= query.limit;
    const left = leftBehind(result, `${query.prefix}${after}`);
    if (left === 0) return { items, rev: at };
    if (full) return nextPage(items, { rev: at, after }, query.selection.selective ? undefined : left);
  }
}

function nextPage(items: StoredObject[], token: ContinueToken, remaining: number | undefined): Page {
  const next = writeContinue(token);
  return { items, rev: token.rev, next, ...(remaining === undefined ? {} : { remaining }) };
}

/** How many to read at once: a page, or many at a time when most may be left out. */
function chunkOf(query: Query, found: number): number {
  if (query.limit === 0) return maxScan;
  return query.selection.selective ? maxScan : query.limit - found;
}

function leftBehind(result: ListResult, lastKey: string): number {
  const index = result.kvs.findIndex((kv) => kv.key === lastKey);
  const unread = index < 0 ? 0 : result.kvs.length - 1 - index;
  return unread + result.remaining;
}

async function listStore(store: Store, query: Query, at: bigint | undefined, after: string, limit: number) {
  try {
    return await store.list(query.prefix, {
      limit,
      ...(at === undefined ? {} : { rev: at }),
      ...(after === '' ? {} : { after: `${query.prefix}${after}` }),
    });
  } catch (error) {
    if (error instanceof FutureRevisionError) throw tooLarge(at ?? 0n, error.currentRev);
    if (!(error instanceof CompactedError)) throw error;
    if (after === '')
      throw new ApiError('Expired', 'The resourceVersion for the provided list is too old.', { cause: error });
    throw new ExpiredContinueError(
      'The provided continue parameter is too old to display a consistent list result. You can start a new list without the continue parameter, or use the continue token in this response to retrieve the remainder of the results. Continuing with the provided token results in an inconsistent list - objects that were created, modified, or deleted between the time the first chunk was returned and now may show up in the list.',
      writeContinue({ rev: -1n, after }),
    );
  }
}

/** Timeout if the client asked for a state of at least `wanted` and the store has yet to reach it. */
export function requireNotOlder(current: bigint, wanted: bigint | undefined): void {
  if (wanted !== undefined && current < wanted) throw tooLarge(wanted, current);
}

function tooLarge(wanted: bigint, current: bigint): ApiError {
  return new ApiError('Timeout', `Timeout: Too large resource version: ${wanted}, current: ${current}`, {
    details: {
      causes: [{ reason: 'ResourceVersionTooLarge', message: 'Too large resource version', field: '' }],
      retryAfterSeconds: 1,
    },
  });
}
