/**
 * Which kinds a server serves. Two requests to a server that knows aggregated discovery (Kubernetes 1.30 and later), one more for each
 * group version to one that does not.
 */
import { isCode } from '#lib/std/errors.ts';
import type { CallOptions, Discovery, ServedKind } from './client.ts';
import type { Transport } from './http-transport.ts';

const accept = 'application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json';

/** Rejects only if nothing can be learned; a group version that does not answer is named in `failed`. */
export async function discover(transport: Transport, { signal }: CallOptions = {}): Promise<Discovery> {
  const roots = await Promise.all(
    ['/api', '/apis'].map((path) => transport.call({ method: 'GET', path, accept, signal })),
  );
  const found = await Promise.all(
    roots.map((root) =>
      'items' in (root as object) ? aggregated(root as AggregatedList) : legacy(transport, root, signal),
    ),
  );
  return { kinds: found.flatMap(({ kinds }) => kinds), failed: found.flatMap(({ failed }) => failed) };
}

interface AggregatedList {
  readonly items: readonly {
    readonly metadata: { readonly name?: string };
    readonly versions: readonly {
      readonly version: string;
      /** Stale: the server behind this group version does not answer, and this is what it said last. */
      readonly freshness?: 'Current' | 'Stale';
      readonly resources?: readonly {
        readonly resource: string;
        readonly responseKind?: { readonly kind?: string };
        readonly scope: 'Namespaced' | 'Cluster';
        readonly singularResource: string;
        readonly verbs: readonly string[];
        readonly shortNames?: readonly string[];
      }[];
    }[];
  }[];
}

function aggregated({ items }: AggregatedList): Discovery {
  const versions = items.flatMap(({ metadata: { name = '' }, versions }) =>
    versions.map((each) => ({ group: name, ...each })),
  );
  return {
    kinds: versions.flatMap(({ group, version, resources = [] }) =>
      resources.map(({ resource, responseKind, scope, singularResource, verbs, shortNames = [] }) => ({
        group,
        version,
        kind: responseKind?.kind ?? '',
        plural: resource,
        singular: singularResource,
        shortNames,
        namespaced: scope === 'Namespaced',
        verbs,
      })),
    ),
    failed: versions
      .filter(({ freshness }) => freshness === 'Stale')
      .map(({ group, version }) => nameOf(group, version)),
  };
}

interface LegacyRoot {
  /** Of /api. */
  readonly versions?: readonly string[];
  /** Of /apis. */
  readonly groups?: readonly {
    readonly name: string;
    readonly versions: readonly { readonly version: string }[];
    readonly preferredVersion?: { readonly version?: string };
  }[];
}

async function legacy(transport: Transport, root: unknown, signal: AbortSignal | undefined): Promise<Discovery> {
  const { versions = [], groups = [] } = root as LegacyRoot;
  const core = versions.map((version) => ({ group: '', version }));
  const others = groups.flatMap(({ name, versions, preferredVersion }) => {
    const first = versions.filter(({ version }) => version === preferredVersion?.version);
    const rest = versions.filter(({ version }) => version !== preferredVersion?.version);
    return [...first, ...rest].map(({ version }) => ({ group: name, version }));
  });
  const failed: string[] = [];
  const kinds = await Promise.all(
    [...core, ...others].map(async (at) => {
      try {
        return await kindsOf(transport, at, signal);
      } catch (error) {
        signal?.throwIfAborted();
        // It went away after the list of groups was made.
        if (!isCode(error, 'NotFound')) failed.push(nameOf(at.group, at.version));
        return [];
      }
    }),
  );
  return { kinds: kinds.flat(), failed };
}

interface GroupVersion {
  readonly group: string;
  readonly version: string;
}

interface ResourceList {
  readonly resources: readonly {
    readonly name: string;
    readonly singularName: string;
    readonly namespaced: boolean;
    readonly kind: string;
    readonly verbs: readonly string[];
    readonly shortNames?: readonly string[];
  }[];
}

async function kindsOf(
  transport: Transport,
  { group, version }: GroupVersion,
  signal: AbortSignal | undefined,
): Promise<ServedKind[]> {
  const path = group === '' ? `/api/${version}` : `/apis/${group}/${version}`;
  const { resources } = (await transport.call({ method: 'GET', path, signal })) as ResourceList;
  return resources
    .filter(({ name }) => !name.includes('/'))
    .map(({ name, singularName, namespaced, kind, verbs, shortNames = [] }) => {
      return { group, version, kind, plural: name, singular: singularName, shortNames, namespaced, verbs };
    });
}

function nameOf(group: string, version: string): string {
  return group === '' ? version : `${group}/${version}`;
}
