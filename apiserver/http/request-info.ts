/** What a path asks for, as Kubernetes reads paths (apiserver, endpoints/request/requestinfo.go). */
import type { Resource, Verb } from '#apiserver/resources/resource.ts';
import { Image } from '#lib/api/generated/image.ts';
import { uploadService } from '#lib/api/host-endpoint.ts';
import { ApiError } from '#lib/std/errors.ts';

export interface ResourcePath {
  readonly type: 'resource';
  readonly group: string;
  readonly version: string;
  readonly plural: string;
  readonly namespace?: string;
  readonly name?: string;
  readonly subresource?: string;
  /** The old form /apis/G/V/watch/…. */
  readonly watch: boolean;
}

export interface OtherPath {
  readonly type: 'other';
  readonly path: string;
}

/** What a request asks for, as far as its first line tells. */
export interface RequestInfo {
  readonly pathname: string;
  readonly query: URLSearchParams;
  readonly path: ResourcePath | OtherPath;
  /** A verb of Kubernetes for a resource, else the method in small letters; empty for a method that means nothing on a resource. */
  readonly verb: Verb | (string & {});
  /** Goes on until somebody ends it: no deadline holds, and nobody waits for it. */
  readonly longRunning: boolean;
  /** /livez and the like. */
  readonly probe: boolean;
}

/** Never throws: whatever stands behind the first question mark is the query. */
export function requestInfo(method: string, target: string): RequestInfo {
  const mark = target.indexOf('?');
  const pathname = mark < 0 ? target : target.slice(0, mark);
  const query = new URLSearchParams(mark < 0 ? '' : target.slice(mark));
  const path = parsePath(pathname);
  const verb = path.type === 'other' ? method.toLowerCase() : (verbOf(method, path, query) ?? '');
  const probe = /^\/(?:livez|readyz|healthz)(?:\/|$)/.test(pathname);
  const longRunning = verb === 'watch' || isFollowed(path, query) || isUpload(path, verb);
  return { pathname, query, path, verb, longRunning, probe };
}

function isFollowed(path: ResourcePath | OtherPath, query: URLSearchParams): boolean {
  return path.type === 'resource' && path.subresource === 'log' && isTrue(query.get('follow'));
}

function isUpload(path: ResourcePath | OtherPath, verb: string): boolean {
  return (
    path.type === 'resource' && path.plural === Image.plural && path.subresource === uploadService && verb === 'update'
  );
}

/** Never throws: what is no resource path is `other`. */
export function parsePath(path: string): ResourcePath | OtherPath {
  const other: OtherPath = { type: 'other', path };
  const parts = decode(path.replace(/^\/|\/$/g, '').split('/'));
  if (!parts) return other;
  const [root, ...rest] = parts;
  if (root === 'api' && rest.length >= 2) return parseRest('', rest[0]!, rest.slice(1)) ?? other;
  if (root === 'apis' && rest.length >= 3) return parseRest(rest[0]!, rest[1]!, rest.slice(2)) ?? other;
  return other;
}

function decode(parts: readonly string[]): string[] | undefined {
  try {
    const decoded = parts.map(decodeURIComponent);
    // Kubernetes' path segment names: an encoded slash would make two names of one, and be stored under another's key.
    return decoded.some((part) => /[/%]/.test(part) || part === '.' || part === '..') ? undefined : decoded;
  } catch {
    // A percent sign that encodes nothing: no resource has such a name.
    return undefined;
  }
}

function parseRest(group: string, version: string, parts: readonly string[]): ResourcePath | undefined {
  if (parts.some((part) => part === '')) return undefined;
  const watch = parts[0] === 'watch';
  const rest = watch ? parts.slice(1) : parts;
  const base = { type: 'resource', group, version, watch } as const;
  const [first, second, third, ...more] = rest;
  // namespaces/x and namespaces/x/status speak of the namespace itself; anything else behind namespaces/x is a resource inside it.
  const ofNamespace = group === '' && (third === 'status' || third === 'finalize');
  if (first === 'namespaces' && second !== undefined && third !== undefined && !ofNamespace)
    return named({ ...base, plural: third, namespace: second }, more);
  return first === undefined ? undefined : named({ ...base, plural: first }, rest.slice(1));
}

function named(path: ResourcePath, parts: readonly string[]): ResourcePath | undefined {
  const [name, subresource, ...more] = parts;
  if (more.length > 0) return undefined;
  return { ...path, ...(name === undefined ? {} : { name }), ...(subresource === undefined ? {} : { subresource }) };
}

/** The verb of a request on a resource, as authorisation and discovery name it; undefined for a method that means nothing here. */
export function verbOf(method: string, path: ResourcePath, query: URLSearchParams): Verb | undefined {
  switch (method) {
    case 'GET':
    case 'HEAD':
      if (path.watch || isTrue(query.get('watch'))) return 'watch';
      return path.name === undefined ? 'list' : 'get';
    case 'POST':
      return 'create';
    case 'PUT':
      return 'update';
    case 'PATCH':
      return 'patch';
    case 'DELETE':
      return path.name === undefined ? 'deletecollection' : 'delete';
    default:
      return undefined;
  }
}

/**
 * Whether the resource is served at this path: objects of the cluster never inside a namespace, those of a namespace never outside of
 * one, but for lists and watches over all of them. NotFound or MethodNotAllowed, as Kubernetes has no such routes.
 */
export function requireScope({ namespaced, plural }: Resource, path: ResourcePath, verb: string): void {
  const inside = path.namespace !== undefined;
  if (inside === namespaced) return;
  if (inside || path.name !== undefined)
    throw new ApiError('NotFound', 'the server could not find the requested resource');
  if (verb !== 'list' && verb !== 'watch')
    throw new ApiError('MethodNotAllowed', `${verb} of ${plural} needs a namespace`);
}

/** Go's strconv.ParseBool, but an unreadable value is false. */
export function isTrue(text: string | null): boolean {
  return text !== null && ['1', 't', 'T', 'true', 'TRUE', 'True'].includes(text);
}
