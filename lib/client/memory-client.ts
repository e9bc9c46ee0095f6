/**
 * An API server without a server: the Client interface over a store in memory, with the semantics that controllers lean on
 * (resourceVersion conflicts, generation, separate status, finalizers, watch with selectors). It passes client.suite.ts, the
 * same suite that the HTTP client passes against the real API server. Left out: schemas (give `admit` for defaults), authorization,
 * and everything that controllers do, garbage collection among it.
 */

import { Namespace } from '#lib/api/core.ts';
import { type Draft, type Kind, type KubeObject, keyOf } from '#lib/api/meta.ts';
import { publicNamespace, systemNamespace } from '#lib/api/names.ts';
import { type Clock, systemClock } from '#lib/std/clock.ts';
import { ApiError } from '#lib/std/errors.ts';
import { type Random, systemRandom } from '#lib/std/random.ts';
import type {
  CallOptions,
  Client,
  DeleteOptions,
  ListOptions,
  ObjectName,
  WatchEvent,
  WatchOptions,
} from './client.ts';
import { kindId } from './kind-id.ts';
import { created, deleting, isHeld, isSame, type Stored, statusUpdated, updated } from './memory-rules.ts';
import { fieldSelector, labelSelector, type Selects } from './memory-select.ts';
import { type Change, MemoryStore } from './memory-store.ts';
import { mergePatch } from './merge-patch.ts';

export interface MemoryOptions {
  readonly clock?: Clock;
  readonly random?: Random;
  /** Exist from the start; default, cf-system and cf-public unless told. */
  readonly namespaces?: readonly string[];
  /** Called with every object before it is stored: fills in defaults, throws Invalid. */
  readonly admit?: (kind: Kind, object: KubeObject) => KubeObject;
}

/** The client, and what a test may do behind its back. */
export interface MemoryApi extends Client {
  readonly store: MemoryStore;
  /** Ends every open watch, as a server that restarts. */
  endWatches(): void;
  /** Sends every open watch a BOOKMARK of the current revision. */
  bookmark(): void;
}

const overTheWire = <T>(value: T): T => JSON.parse(JSON.stringify(value)) as T;

export function memoryClient(options: MemoryOptions = {}): MemoryApi {
  const { clock = systemClock, random = systemRandom, admit = (_kind, object) => object } = options;
  const store = new MemoryStore();
  let watchEpoch = 0;
  let bookmarks = 0;

  function existing(kind: Kind, at: ObjectName): Stored {
    const found = store.get(kindId(kind), keyOf({ metadata: place(kind, at) }));
    if (!found) throw refusal('NotFound', kind, at.name, `${resource(kind)} "${at.name}" not found`);
    return found as Stored;
  }

  function save(kind: Kind, old: Stored, next: Stored): Stored {
    if (isSame(old, next)) return old;
    if (next.metadata.deletionTimestamp !== undefined && !isHeld(next))
      return store.remove(kindId(kind), next) as Stored;
    return store.put(kindId(kind), next) as Stored;
  }

  function checkNamespace(name: string): void {
    const namespace = store.get(kindId(Namespace), name);
    if (!namespace) throw refusal('NotFound', Namespace, name, `namespaces "${name}" not found`);
    if (namespace.metadata.deletionTimestamp === undefined) return;
    const message = `unable to create new content in namespace ${name} because it is being terminated`;
    const causes = [{ reason: 'NamespaceTerminating', message, field: 'metadata.namespace' }];
    throw new ApiError('Forbidden', message, { details: { causes } });
  }

  function write<T extends KubeObject>(kind: Kind<T>, at: ObjectName, change: (old: Stored) => Stored): T {
    const old = existing(kind, at);
    return save(kind, old, overTheWire(change(old))) as KubeObject as T;
  }

  const replaceMain = (kind: Kind, sent: KubeObject) => (old: Stored) => {
    checkPreconditions(kind, old, sent.metadata);
    return updated(kind, old, admit(kind, sent) as Stored);
  };

  const client: Client = {
    async get(kind, at, { signal } = {}) {
      signal?.throwIfAborted();
      return existing(kind, at) as KubeObject as never;
    },

    async list<T extends KubeObject>(kind: Kind<T>, options: ListOptions = {}) {
      options.signal?.throwIfAborted();
      const items = store.list(kindId(kind)).filter(selects(options)) as readonly KubeObject[] as readonly T[];
      return { items, resourceVersion: String(store.revision) };
    },

    async create<T extends KubeObject>(kind: Kind<T>, draft: Draft<T>, { signal }: CallOptions = {}) {
      signal?.throwIfAborted();
      const sent = overTheWire(draft) as unknown as Stored;
      const { name = generatedName(sent.metadata.generateName, random), namespace } = sent.metadata;
      if (!name) throw refusal('Invalid', kind, '', `${kind.kind} is invalid: metadata.name: Required value`);
      place(kind, { name, namespace });
      if (kind.namespaced) checkNamespace(namespace!);
      const object = created(kind, admit(kind, sent) as Stored, name, { nowMs: clock.now(), uid: random.uuid() });
      if (store.get(kindId(kind), keyOf(object)))
        throw refusal('AlreadyExists', kind, name, `${resource(kind)} "${name}" already exists`);
      return store.put(kindId(kind), object) as T;
    },

    async update(kind, object, { signal } = {}) {
      signal?.throwIfAborted();
      return write(kind, object.metadata, replaceMain(kind, overTheWire(object)));
    },

    async patch(kind, at, patch, { signal } = {}) {
      signal?.throwIfAborted();
      return write(kind, at, (old) => replaceMain(kind, overTheWire(mergePatch(old, patch)) as KubeObject)(old));
    },

    async updateStatus(kind, object, { signal } = {}) {
      signal?.throwIfAborted();
      return write(kind, object.metadata, (old) => {
        checkPreconditions(kind, old, object.metadata);
        return statusUpdated(old, object as Stored);
      });
    },

    async patchStatus(kind, at, patch, { signal } = {}) {
      signal?.throwIfAborted();
      return write(kind, at, (old) => {
        const sent = mergePatch(old, patch) as Stored;
        checkPreconditions(kind, old, sent.metadata);
        return statusUpdated(old, sent);
      });
    },

    async finalize(namespace, { signal } = {}) {
      signal?.throwIfAborted();
      return write(Namespace, namespace.metadata, (old) => {
        checkPreconditions(Namespace, old, namespace.metadata);
        return { ...old, spec: namespace.spec ?? {} };
      });
    },

    async delete(kind, at, options: DeleteOptions = {}) {
      options.signal?.throwIfAborted();
      const old = existing(kind, at);
      checkPreconditions(kind, old, options);
      const next = deleting(kind, old, options.propagation, clock.now());
      if (next) save(kind, old, next);
      else store.remove(kindId(kind), old);
    },

    watch<T extends KubeObject>(kind: Kind<T>, options: WatchOptions) {
      return follow(kind, options) as AsyncIterable<WatchEvent<T>>;
    },
  };

  async function* follow(kind: Kind, options: WatchOptions): AsyncGenerator<WatchEvent<KubeObject>> {
    const { signal } = options;
    signal?.throwIfAborted();
    const matches = selects(options);
    const epoch = watchEpoch;
    let bookmark = bookmarks;
    let timedOut = false;
    let revision = Number(options.resourceVersion);
    using _timer = clock.timeout(
      () => {
        timedOut = true;
        store.wake();
      },
      (options.timeoutSeconds ?? 1800) * 1000,
    );
    signal?.addEventListener('abort', () => store.wake(), { once: true });
    for (;;) {
      // Taken before anything is yielded: who reads the events may write in between.
      const changed = store.nextChange();
      const reached = store.revision;
      for (const change of store.changesAfter(kindId(kind), revision)) {
        signal?.throwIfAborted();
        const event = seenThrough(change, matches);
        if (event) yield event;
      }
      revision = Math.max(revision, reached);
      signal?.throwIfAborted();
      if (bookmark !== bookmarks || timedOut) yield { type: 'BOOKMARK', resourceVersion: String(revision) };
      if (timedOut || epoch !== watchEpoch) return;
      bookmark = bookmarks;
      await changed;
    }
  }

  for (const name of options.namespaces ?? ['default', systemNamespace, publicNamespace])
    store.put(
      kindId(Namespace),
      created(Namespace, { apiVersion: 'v1', kind: 'Namespace', metadata: {} as Stored['metadata'] }, name, {
        nowMs: clock.now(),
        uid: random.uuid(),
      }),
    );

  return {
    ...client,
    store,
    endWatches() {
      watchEpoch += 1;
      store.wake();
    },
    bookmark() {
      bookmarks += 1;
      store.wake();
    },
  };
}

/** What of a change a watch with a selector sees: an object that begins to match is ADDED, one that stops is DELETED. */
function seenThrough(change: Change, matches: Selects): WatchEvent<KubeObject> | undefined {
  const { type, object, previous } = change;
  const before = previous !== undefined && matches(previous);
  const after = type !== 'DELETED' && matches(object);
  if (after) return { type: before ? 'MODIFIED' : 'ADDED', object };
  if (!before) return undefined;
  if (type === 'DELETED') return { type, object };
  return {
    type: 'DELETED',
    object: { ...previous, metadata: { ...previous.metadata, resourceVersion: object.metadata.resourceVersion } },
  };
}

function selects(options: ListOptions): Selects {
  const byLabels = labelSelector(options.labelSelector ?? '');
  const byFields = fieldSelector(options.fieldSelector ?? '');
  const { namespace } = options;
  return (object) =>
    (namespace === undefined || object.metadata.namespace === namespace) && byLabels(object) && byFields(object);
}

function place(kind: Kind, at: ObjectName): { name: string; namespace?: string } {
  if (!kind.namespaced) return { name: at.name };
  if (at.namespace === undefined)
    throw new ApiError('BadRequest', `Cannot name ${kind.kind} "${at.name}": it needs a namespace`);
  return { name: at.name, namespace: at.namespace };
}

function generatedName(prefix: string | undefined, random: Random): string {
  const alphabet = 'bcdfghjklmnpqrstvwxz2456789';
  const letter = () => alphabet[Math.floor(random.next() * alphabet.length)]!;
  return prefix ? prefix + Array.from({ length: 5 }, letter).join('') : '';
}

function resource(kind: Kind): string {
  return kind.group === '' ? kind.plural : `${kind.plural}.${kind.group}`;
}

function refusal(code: 'NotFound' | 'AlreadyExists' | 'Conflict' | 'Invalid', kind: Kind, name: string, text: string) {
  return new ApiError(code, text, { details: { name, group: kind.group, kind: kind.plural } });
}

function conflict(kind: Kind, name: string): ApiError {
  const advice = 'the object has been modified; please apply your changes to the latest version and try again';
  return refusal('Conflict', kind, name, `Operation cannot be fulfilled on ${resource(kind)} "${name}": ${advice}`);
}

/** An absent uid or resourceVersion asks for nothing. */
function checkPreconditions(
  kind: Kind,
  old: Stored,
  wanted: { readonly uid?: string; readonly resourceVersion?: string },
): void {
  const { uid, resourceVersion, name } = old.metadata;
  if ((wanted.uid ?? uid) !== uid || (wanted.resourceVersion || resourceVersion) !== resourceVersion)
    throw conflict(kind, name);
}
