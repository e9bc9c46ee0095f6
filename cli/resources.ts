/** Which kinds there are: asked of the server, so that kinds added to it work here without a change. */
import { UsageError } from '#lib/std/main.ts';
import type { Session } from './session.ts';

export interface ApiResource {
  readonly group: string;
  readonly version: string;
  readonly plural: string;
  readonly singular: string;
  readonly kind: string;
  readonly shortNames: readonly string[];
  readonly categories: readonly string[];
  readonly namespaced: boolean;
}

interface ApiResourceList {
  readonly groupVersion: string;
  readonly resources: readonly {
    readonly name: string;
    readonly singularName?: string;
    readonly kind: string;
    readonly namespaced: boolean;
    readonly shortNames?: readonly string[];
    readonly categories?: readonly string[];
  }[];
}

/** All kinds of the server, subresources left out. */
export async function discover(session: Session): Promise<readonly ApiResource[]> {
  const groups = await session.request<{ groups: { preferredVersion: { groupVersion: string } }[] }>('GET', '/apis');
  const paths = ['/api/v1', ...groups.groups.map(({ preferredVersion }) => `/apis/${preferredVersion.groupVersion}`)];
  const lists = await Promise.all(paths.map((path) => session.request<ApiResourceList>('GET', path)));
  return lists.flatMap(({ groupVersion, resources }) => {
    const [group, version] = groupVersion.includes('/')
      ? (groupVersion.split('/') as [string, string])
      : ['', groupVersion];
    return resources
      .filter(({ name }) => !name.includes('/'))
      .map((resource) => ({
        group,
        version,
        plural: resource.name,
        singular: resource.singularName || resource.kind.toLowerCase(),
        kind: resource.kind,
        shortNames: resource.shortNames ?? [],
        categories: resource.categories ?? [],
        namespaced: resource.namespaced,
      }));
  });
}

/** Kinds meant by a word: a plural, singular, short name, Kind, plural.group, or a category such as all. */
export function resolveWord(resources: readonly ApiResource[], word: string): readonly ApiResource[] {
  const wanted = word.toLowerCase();
  const exact = resources.filter((resource) => {
    const names = [
      resource.plural,
      resource.singular,
      resource.kind.toLowerCase(),
      ...resource.shortNames,
      `${resource.plural}.${resource.group}`,
    ];
    return names.includes(wanted);
  });
  if (exact.length > 0) return exact.slice(0, 1);
  const category = resources.filter((resource) => resource.categories.includes(wanted));
  if (category.length > 0) return category;
  const known = resources
    .filter(({ group }) => group.startsWith('computefactory'))
    .map(({ singular, shortNames }) => shortNames[0] ?? singular);
  throw new UsageError(`The server has no kind "${word}". Kinds of Compute Factory: ${known.join(', ')}.`);
}

export function resolveKind(
  resources: readonly ApiResource[],
  apiVersion: string,
  kind: string,
): ApiResource | undefined {
  return resources.find((resource) => groupVersionOf(resource) === apiVersion && resource.kind === kind);
}

export function groupVersionOf({ group, version }: Pick<ApiResource, 'group' | 'version'>): string {
  return group === '' ? version : `${group}/${version}`;
}

/** URL path of a kind, or of one object of it. */
export function pathOf(resource: ApiResource, namespace: string | undefined, name?: string): string {
  const base = resource.group === '' ? `/api/${resource.version}` : `/apis/${resource.group}/${resource.version}`;
  const inside = resource.namespaced && namespace !== undefined ? `/namespaces/${encodeURIComponent(namespace)}` : '';
  return `${base}${inside}/${resource.plural}${name === undefined ? '' : `/${encodeURIComponent(name)}`}`;
}

/** How people call one object: computefactory.computefactory.io/render, or namespace/studio-a for core kinds. */
export function displayName(resource: ApiResource, name: string): string {
  return `${resource.singular}${resource.group === '' ? '' : `.${resource.group}`}/${name}`;
}

/** The command that explains this object, to be named where something is not as asked. */
export function whyCommand(resource: ApiResource, namespace: string, name: string): string {
  const word = resource.shortNames[0] ?? resource.singular;
  return `factoryctl why ${word} ${name}${resource.namespaced ? ` -n ${namespace}` : ''}`;
}

export interface Target {
  readonly resource: ApiResource;
  readonly name: string;
}

/** Objects named on the command line: `KIND NAME…` or `KIND/NAME…`. */
export function resolveTargets(
  resources: readonly ApiResource[],
  words: readonly string[],
  verb: string,
): readonly Target[] {
  if (words.length === 0)
    throw new UsageError(
      `Name an object: factoryctl ${verb} KIND NAME, or KIND/NAME. See "factoryctl ${verb} --help".`,
    );
  const one = (kind: string, name: string): Target => ({ resource: resolveWord(resources, kind)[0]!, name });
  if (words[0]!.includes('/')) {
    return words.map((word) => {
      const slash = word.indexOf('/');
      if (slash < 0) throw new UsageError(`"${word}" names no kind: write KIND/NAME for every object, or KIND NAME….`);
      return one(word.slice(0, slash), word.slice(slash + 1));
    });
  }
  if (words.length === 1) throw new UsageError(`Which ${words[0]}? Write factoryctl ${verb} ${words[0]} NAME.`);
  return words.slice(1).map((name) => one(words[0]!, name));
}
