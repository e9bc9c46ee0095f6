/** The Client interface over HTTP: what is asked of which path, and what comes back. How it travels is in http-transport.ts. */
import { Namespace } from '#lib/api/core.ts';
import { apiVersionOf, type Draft, type Kind, type KubeObject } from '#lib/api/meta.ts';
import { isCode } from '#lib/std/errors.ts';
import type {
  CallOptions,
  Client,
  DeleteOptions,
  ListOptions,
  ObjectList,
  WatchEvent,
  WatchOptions,
} from './client.ts';
import { discover } from './discovery.ts';
import type { Endpoint } from './endpoint.ts';
import { errorOfStatus } from './http-errors.ts';
import { defaultTransportOptions, httpTransport, type Transport, type TransportOptions } from './http-transport.ts';
import { collectionPath, creationPath, objectPath } from './paths.ts';

export type HttpClientOptions = TransportOptions;
export type HttpClient = Client & AsyncDisposable;

const pageSize = 500;
const mergePatch = 'application/merge-patch+json';

/** Options that are left out are as in defaultTransportOptions. Dispose of the client to close its connections. */
export function httpClient(endpoint: Endpoint, options: Partial<HttpClientOptions> = {}): HttpClient {
  const transport = httpTransport(endpoint, { ...defaultTransportOptions, ...options });
  return {
    ...reading(transport),
    ...writing(transport),
    [Symbol.asyncDispose]: () => transport[Symbol.asyncDispose](),
  };
}

function reading(transport: Transport): Pick<Client, 'discover' | 'get' | 'list' | 'watch'> {
  return {
    discover: (options) => discover(transport, options),

    async get<T extends KubeObject>(kind: Kind<T>, at: Parameters<Client['get']>[1], { signal }: CallOptions = {}) {
      const path = objectPath(kind, at);
      return named(kind, (await transport.call({ method: 'GET', path, accept: acceptOf(kind), signal })) as T);
    },

    async list(kind, options = {}) {
      try {
        return await listInPages(transport, kind, options, pageSize);
      } catch (error) {
        // The snapshot went away between two pages. One page has no in-between.
        if (!isCode(error, 'Expired')) throw error;
        return listInPages(transport, kind, options, undefined);
      }
    },

    watch: (kind, options) => watch(transport, kind, options),
  };
}

type Writing = Pick<Client, 'create' | 'update' | 'patch' | 'updateStatus' | 'patchStatus' | 'finalize' | 'delete'>;

function writing(transport: Transport): Writing {
  const put = async <T extends KubeObject>(kind: Kind<T>, object: T, subresource?: string, signal?: AbortSignal) => {
    const path = objectPath(kind, object.metadata, subresource);
    return (await transport.call({ method: 'PUT', path, body: object, signal })) as T;
  };
  const patch = async <T extends KubeObject>(
    kind: Kind<T>,
    path: string,
    body: object,
    { signal }: CallOptions = {},
  ) => {
    const request = { method: 'PATCH', path, body, contentType: mergePatch, accept: acceptOf(kind), signal } as const;
    return named(kind, (await transport.call(request)) as T);
  };
  return {
    async create<T extends KubeObject>(kind: Kind<T>, object: Draft<T>, { signal }: CallOptions = {}) {
      const path = creationPath(kind, object.metadata.namespace);
      return (await transport.call({ method: 'POST', path, body: object, signal })) as T;
    },
    update: (kind, object, options) => put(kind, object, undefined, options?.signal),
    updateStatus: (kind, object, options) => put(kind, object, 'status', options?.signal),
    finalize: (namespace, options) => put(Namespace, namespace, 'finalize', options?.signal),
    patch: async (kind, at, body, options) => patch(kind, objectPath(kind, at), body, options),
    patchStatus: async (kind, at, body, options) => patch(kind, objectPath(kind, at, 'status'), body, options),
    async delete(kind, at, options = {}) {
      const { signal } = options;
      await transport.call({ method: 'DELETE', path: objectPath(kind, at), body: deleteOptions(options), signal });
    },
  };
}

function deleteOptions({ uid, resourceVersion, propagation }: DeleteOptions): object {
  const preconditions = { ...(uid && { uid }), ...(resourceVersion && { resourceVersion }) };
  return {
    apiVersion: 'v1',
    kind: 'DeleteOptions',
    propagationPolicy: propagation ?? 'Background',
    ...(Object.keys(preconditions).length > 0 && { preconditions }),
  };
}

interface Page<T> {
  readonly metadata: { readonly resourceVersion: string; readonly continue?: string };
  readonly items?: readonly T[] | null;
}

async function listInPages<T extends KubeObject>(
  transport: Transport,
  kind: Kind<T>,
  options: ListOptions,
  limit: number | undefined,
): Promise<ObjectList<T>> {
  const { namespace, labelSelector, fieldSelector, signal } = options;
  const items: T[] = [];
  let resourceVersion = '';
  let token: string | undefined;
  do {
    const query = { labelSelector, fieldSelector, limit: limit?.toString(), continue: token };
    const path = collectionPath(kind, namespace);
    const accept = acceptOf(kind, 'List');
    const page = (await transport.call({ method: 'GET', path, query, accept, signal })) as Page<T>;
    for (const item of page.items ?? []) items.push(named(kind, item));
    resourceVersion ||= page.metadata.resourceVersion;
    token = page.metadata.continue || undefined;
  } while (token !== undefined);
  return { items, resourceVersion };
}

/** The answer that is wanted of a kind; JSON in any form if the server does not know that one. */
function acceptOf(kind: Kind, list: 'List' | '' = ''): string {
  const plain = 'application/json';
  return kind.metadataOnly ? `${plain};as=PartialObjectMetadata${list};g=meta.k8s.io;v=v1,${plain}` : plain;
}

/**
 * Under its own apiVersion and kind: Kubernetes leaves them out of the items of its own kinds' lists, and metadata alone comes as
 * PartialObjectMetadata.
 */
function named<T extends KubeObject>(kind: Kind<T>, object: T): T {
  if (object.kind && !kind.metadataOnly) return object;
  const { metadata } = object;
  const identity = { apiVersion: apiVersionOf(kind), kind: kind.kind };
  return (kind.metadataOnly ? { ...identity, metadata } : { ...object, ...identity }) as T;
}

interface RawEvent {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK' | 'ERROR';
  readonly object: unknown;
}

async function* watch<T extends KubeObject>(
  transport: Transport,
  kind: Kind<T>,
  options: WatchOptions,
): AsyncGenerator<WatchEvent<T>> {
  const { namespace, labelSelector, fieldSelector, resourceVersion, timeoutSeconds, signal } = options;
  const query = {
    watch: 'true',
    allowWatchBookmarks: 'true',
    ...(resourceVersion === ''
      ? { sendInitialEvents: 'true', resourceVersionMatch: 'NotOlderThan' }
      : { resourceVersion }),
    labelSelector,
    fieldSelector,
    timeoutSeconds: timeoutSeconds?.toString(),
  };
  const request = {
    method: 'GET',
    path: collectionPath(kind, namespace),
    query,
    accept: acceptOf(kind),
    signal,
  } as const;
  for await (const line of transport.lines(request)) {
    const { type, object } = line as RawEvent;
    if (type === 'ERROR') throw errorOfStatus(object as Parameters<typeof errorOfStatus>[0]);
    if (type === 'BOOKMARK') yield bookmarkOf(object as KubeObject);
    else yield { type, object: named(kind, object as T) };
  }
}

function bookmarkOf({ metadata: { resourceVersion, annotations } }: KubeObject): WatchEvent<never> {
  const initialEventsEnd = annotations?.['k8s.io/initial-events-end'] === 'true';
  return { type: 'BOOKMARK', resourceVersion, ...(initialEventsEnd && { initialEventsEnd }) };
}
