/** What a request wants to do, as authorisation sees it (apiserver, pkg/authorization/authorizer). */
import type { RequestInfo, ResourcePath } from '#apiserver/http/request-info.ts';
import { type FieldTerm, parseFieldTerms } from '#apiserver/selectors/fields.ts';
import { parseLabelRequirements } from '#apiserver/selectors/labels.ts';
import type { Requirement } from '#lib/api/selectors.ts';

export interface ResourceAttributes {
  readonly verb: string;
  readonly group: string;
  readonly version?: string;
  /** Plural. */
  readonly resource: string;
  readonly subresource?: string;
  /** Absent at the scope of the cluster. */
  readonly namespace?: string;
  readonly name?: string;
  /** What a list, watch or deletecollection is restricted to; absent if it is to nothing, or cannot be read. */
  readonly fieldSelector?: readonly FieldTerm[];
  readonly labelSelector?: readonly Requirement[];
}

/** A path that is no resource. */
export interface PathAttributes {
  readonly verb: string;
  readonly path: string;
}

export type Attributes = ResourceAttributes | PathAttributes;

export function attributesOf({ path, pathname, verb, query }: RequestInfo): Attributes {
  return path.type === 'other' ? { verb, path: pathname } : resourceAttributes(path, verb, query);
}

function resourceAttributes(path: ResourcePath, verb: string, query: URLSearchParams): ResourceAttributes {
  const selectors = selective.has(verb) ? selectorsOf(query) : {};
  // A list or watch of one name is a request for that name: rules with resourceNames allow it.
  const name = path.name ?? (verb === 'deletecollection' ? undefined : nameIn(selectors.fieldSelector));
  const namespace = path.namespace ?? ownNamespace(path);
  return {
    verb,
    group: path.group,
    version: path.version,
    resource: path.plural,
    ...(path.subresource === undefined ? {} : { subresource: path.subresource }),
    ...(namespace === undefined ? {} : { namespace }),
    ...(name === undefined ? {} : { name }),
    ...selectors,
  };
}

/** A namespace lies in itself: a Role in it may speak of it. */
function ownNamespace({ group, plural, name }: ResourcePath): string | undefined {
  return group === '' && plural === 'namespaces' ? name : undefined;
}

const selective = new Set(['list', 'watch', 'deletecollection']);

function selectorsOf(query: URLSearchParams): Pick<ResourceAttributes, 'fieldSelector' | 'labelSelector'> {
  const fields = read(query.get('fieldSelector'), parseFieldTerms);
  const labels = read(query.get('labelSelector'), parseLabelRequirements);
  return { ...(fields ? { fieldSelector: fields } : {}), ...(labels ? { labelSelector: labels } : {}) };
}

function read<T>(text: string | null, parse: (text: string) => readonly T[]): readonly T[] | undefined {
  if (!text) return undefined;
  try {
    return parse(text);
  } catch {
    // Who may list all may be told by the verb what is wrong with the selector; who may not is refused as if there were none.
    return undefined;
  }
}

function nameIn(terms: readonly FieldTerm[] = []): string | undefined {
  return terms.find(({ label, equal, value }) => label === 'metadata.name' && equal && isPathSegment(value))?.value;
}

function isPathSegment(text: string): boolean {
  return text !== '' && text !== '.' && text !== '..' && !/[/%]/.test(text);
}
