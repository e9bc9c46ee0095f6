/**
 * An API server without a server: the Client interface over a store in memory, with the semantics that controllers lean on
 * (resourceVersion conflicts, generation, separate status, finalizers, watch with selectors). It passes client.suite.ts, the
 * same suite that the HTTP client passes against the real API server. Left out: schemas (give `admit` for defaults), authorization,
 * and everything that controllers do, garbage collection among it.
 */

import { coreKinds, Namespace } from '#lib/api/core.ts';
import { factoryKinds } from '#lib/api/generated/index.ts';
import { type Draft, type Kind, type KubeObject, keyOf } from '#lib/api/meta.ts';
import { publicNamespace, systemNamespace } from '#lib/api/names.ts';
import { type Clock, systemClock } from '#lib/std/clock.ts';
import { ApiError } from '#lib/std/errors.ts';
import { type Random, systemRandom } from '#lib/std/random.ts';
import type {
  Client,
  DeleteOptions,
  Discovery,
  ListOptions,
  ObjectList,
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
  /** False: as a server that cannot begin a watch with what is there. */
  readonly watchList?: boolean;
  /** What discovery tells, asked each time; Kubernetes' own kinds and those of crds/ unless told. */
  readonly kinds?: () => readonly Kind[];
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
  const server = new MemoryServer(options);
  const kinds = options.kinds ?? (() => [...coreKinds, ...factoryKinds]);
  // What a server does takes no time here, so a call that began is not interrupted.
  const call = async <R>(signal: AbortSignal | undefined, body: () => R): Promise<R> => {
    signal?.throwIfAborted();
    return body();
  };
  return {
    store: server.store,
    endWatches: () => server.endWatches(),
    bookmark: () => server.bookmark(),
    discover: (options) => call(options?.signal, () => discovery(kinds())),
    get: (kind, at, options) => call(options?.signal, () => seen(kind, server.get(kind, at))),
    list: (kind, options = {}) => call(options.signal, () => server.list(kind, options)),
    create: (kind, draft, options) => call(options?.signal, () => server.create(kind, draft)),
    update: (kind, object, options) =>
      call(options?.signal, () =>
        server.write(kind, object.metadata, (old) => server.replaced(kind, old, overTheWire(object))),
      ),
    patch: (kind, at, patch, options) =>
      call(options?.signal, () =>
        server.write(kind, at, (old) => server.replaced(kind, old, mergePatch(old, overTheWire(patch)) as KubeObject)),
      ),
    updateStatus: (kind, object, options) =>
      call(options?.signal, () =>
        server.write(kind, object.metadata, (old) => server.replacedStatus(kind, old, overTheWire(object))),
      ),
    patchStatus: (kind, at, patch, options) =>
      call(options?.signal, () =>
        server.write(kind, at, (old) =>
          server.replacedStatus(kind, old, mergePatch(old, overTheWire(patch)) as KubeObject),
        ),
      ),
    finalize: (namespace, options) => call(options?.signal, () => server.finalize(overTheWire(namespace))),
    delete: (kind, at, options = {}) => call(options.signal, () => server.delete(kind, at, options)),
    watch: <T extends KubeObject>(kind: Kind<T>, options: WatchOptions) =>
      server.watch(kind, options) as AsyncIterable<WatchEvent<T>>,
  };
}

class MemoryServer {
  readonly store = new MemoryStore();
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #admit: NonNullable<MemoryOptions['admit']>;
  readonly #watchList: boolean;
  #watchEpoch = 0;
  #bookmarks = 0;

  constructor(options: MemoryOptions) {
    const { clock = systemClock, random = systemRandom, admit = (_kind, object) => object } = options;
    this.#clock = clock;
    this.#random = random;
    this.#admit = admit;
    this.#watchList = options.watchList ?? true;
    for (const name of options.namespaces ?? ['default', systemNamespace, publicNamespace])
      this.create(Namespace, { apiVersion: 'v1', kind: 'Namespace', metadata: { name } });
  }

  get<T extends KubeObject>(kind: Kind<T>, at: ObjectName): T {
    return this.#existing(kind, at) as KubeObject as T;
  }

  list<T extends KubeObject>(kind: Kind<T>, options: ListOptions): ObjectList<T> {
    const found = this.store.list(kindId(kind)).filter(selects(kind, options)) as readonly KubeObject[] as readonly T[];
    return { items: found.map((object) => seen(kind, object)), resourceVersion: String(this.store.revision) };
  }

  create<T extends KubeObject>(kind: Kind<T>, draft: Draft<T>): T {
    const sent = overTheWire(draft) as unknown as Stored;
    const { name = generatedName(sent.metadata.generateName, this.#random), namespace } = sent.metadata;
    if (!name) throw refusal('Invalid', kind, '', `${kind.kind} is invalid: metadata.name: Required value`);
    place(kind, { name, namespace });
    if (kind.namespaced) this.#checkNamespace(namespace!);
    const stamp = { nowMs: this.#clock.now(), uid: this.#random.uuid() };
    const object = created(kind, this.#admit(kind, sent) as Stored, name, stamp);
    if (this.store.get(kindId(kind), keyOf(object)))
      throw refusal('AlreadyExists', kind, name, `${resource(kind)} "${name}" already exists`);
    return this.store.put(kindId(kind), object) as T;
  }

  /** Stores what `change` makes of the object that is there; the write that takes the last finalizer removes it. */
  write<T extends KubeObject>(kind: Kind<T>, at: ObjectName, change: (old: Stored) => Stored): T {
    const old = this.#existing(kind, at);
    return this.#save(kind, old, change(old)) as KubeObject as T;
  }

  replaced(kind: Kind, old: Stored, sent: KubeObject): Stored {
    checkPreconditions(kind, old, sent.metadata);
    return updated(kind, old, this.#admit(kind, sent) as Stored);
  }

  replacedStatus(kind: Kind, old: Stored, sent: KubeObject): Stored {
    checkPreconditions(kind, old, sent.metadata);
    return statusUpdated(old, sent);
  }

  finalize(namespace: Namespace): Namespace {
    return this.write(Namespace, namespace.metadata, (old) => {
      checkPreconditions(Namespace, old, namespace.metadata);
      return { ...old, spec: namespace.spec ?? {} };
    });
  }

  delete(kind: Kind, at: ObjectName, options: DeleteOptions): void {
    const old = this.#existing(kind, at);
    checkPreconditions(kind, old, options);
    const next = deleting(kind, old, options.propagation, this.#clock.now());
    if (next) this.#save(kind, old, next);
    else this.store.remove(kindId(kind), old);
  }

  endWatches(): void {
    this.#watchEpoch += 1;
    this.store.wake();
  }

  bookmark(): void {
    this.#bookmarks += 1;
    this.store.wake();
  }

  async *watch(kind: Kind, options: WatchOptions): AsyncGenerator<WatchEvent<KubeObject>> {
    const { signal, timeoutSeconds = 1800 } = options;
    signal?.throwIfAborted();
    const id = kindId(kind);
    signal?.addEventListener('abort', () => this.store.wake(id), { once: true });
    const matches = selects(kind, options);
    const epoch = this.#watchEpoch;
    let bookmarks = this.#bookmarks;
    if (options.resourceVersion === '' && !this.#watchList)
      throw new ApiError('Invalid', 'ListOptions is invalid: sendInitialEvents: Forbidden: this server cannot do that');
    let revision = Number(options.resourceVersion);
    if (options.resourceVersion === '') {
      revision = this.store.revision;
      for (const object of this.store.list(id).filter(matches)) yield { type: 'ADDED', object: seen(kind, object) };
      yield { type: 'BOOKMARK', resourceVersion: String(revision), initialEventsEnd: true };
    }
    const endMs = this.#clock.monotonic() + timeoutSeconds * 1000;
    using _timer = this.#clock.timeout(() => this.store.wake(id), timeoutSeconds * 1000);
    for (;;) {
      // Taken before anything is yielded: who reads the events may write in between.
      const changed = this.store.nextChange(id);
      const reached = this.store.revision;
      for (const change of this.store.changesAfter(id, revision)) {
        signal?.throwIfAborted();
        const event = seenThrough(change, matches);
        if (event) yield { ...event, object: seen(kind, event.object) };
      }
      revision = Math.max(revision, reached);
      signal?.throwIfAborted();
      const timedOut = this.#clock.monotonic() >= endMs;
      if (bookmarks !== this.#bookmarks || timedOut) yield { type: 'BOOKMARK', resourceVersion: String(revision) };
      if (timedOut || epoch !== this.#watchEpoch) return;
      bookmarks = this.#bookmarks;
      await changed;
    }
  }

  #existing(kind: Kind, at: ObjectName): Stored {
    const found = this.store.get(kindId(kind), keyOf({ metadata: place(kind, at) }));
    if (!found) throw refusal('NotFound', kind, at.name, `${resource(kind)} "${at.name}" not found`);
    return found;
  }

  #save(kind: Kind, old: Stored, next: Stored): Stored {
    if (isSame(old, next)) return old;
    if (next.metadata.deletionTimestamp !== undefined && !isHeld(next)) return this.store.remove(kindId(kind), next);
    return this.store.put(kindId(kind), next);
  }

  #checkNamespace(name: string): void {
    const namespace = this.store.get(kindId(Namespace), name);
    if (!namespace) throw refusal('NotFound', Namespace, name, `namespaces "${name}" not found`);
    if (namespace.metadata.deletionTimestamp === undefined) return;
    const message = `unable to create new content in namespace ${name} because it is being terminated`;
    const causes = [{ reason: 'NamespaceTerminating', message, field: 'metadata.namespace' }];
    throw new ApiError('Forbidden', message, { details: { causes } });
  }
}

/** As PartialObjectMetadata if the kind is asked for so. */
function seen<T extends KubeObject>(kind: Kind<T>, object: T): T {
  const { apiVersion, metadata } = object;
  return kind.metadataOnly ? ({ apiVersion, kind: object.kind, metadata } as T) : object;
}

const verbs = ['create', 'delete', 'deletecollection', 'get', 'list', 'patch', 'update', 'watch'];

function discovery(kinds: readonly Kind[]): Discovery {
  return { kinds: kinds.map((kind) => ({ ...kind, verbs })), failed: [] };
}

/** What of a change a watch with a selector sees: an object that begins to match is ADDED, one that stops is DELETED. */
function seenThrough(
  change: Change,
  matches: Selects,
): Exclude<WatchEvent<KubeObject>, { type: 'BOOKMARK' }> | undefined {
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

function selects(kind: Kind, options: ListOptions): Selects {
  const byLabels = labelSelector(options.labelSelector ?? '');
  const byFields = fieldSelector(options.fieldSelector ?? '', kind.selectableFields);
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
