/** Impersonate-* headers: one user asks as another, if its rights say that it may. */
import { ApiError } from '#lib/std/errors.ts';
import type { ResourceAttributes } from './attributes.ts';
import {
  anonymousUser,
  authenticatedGroup,
  parseServiceAccountUser,
  serviceAccountGroups,
  type User,
  unauthenticatedGroup,
} from './user.ts';

export interface Impersonation {
  readonly user: User;
  /** What the real user must be allowed, every one of them. */
  readonly demands: readonly ResourceAttributes[];
}

const authenticationGroup = 'authentication.k8s.io';
const extraPrefix = 'impersonate-extra-';

/**
 * Whom these headers speak for; undefined if for nobody but the sender. Takes them raw, name after value, because a group may contain the
 * comma that Node joins repeated headers with. BadRequest for groups, uid or extra without a user.
 */
export function impersonation(rawHeaders: readonly string[]): Impersonation | undefined {
  const headers = impersonateHeaders(rawHeaders);
  if (headers.length === 0) return undefined;
  const values = (name: string) => headers.filter((header) => header.name === name).map(({ value }) => value);
  const name = values('impersonate-user')[0];
  if (!name)
    throw new ApiError('BadRequest', 'Impersonate-Group, -Uid and -Extra need Impersonate-User: name whom to ask as');
  const uid = values('impersonate-uid')[0];
  const groups = values('impersonate-group');
  const extra = extraIn(headers);
  return {
    user: {
      name,
      groups: completeGroups(name, groups),
      ...(uid ? { uid } : {}),
      ...(extra.size > 0 ? { extra } : {}),
    },
    demands: [
      nameDemand(name),
      ...groups.map((group) => demand({ group: '', resource: 'groups', name: group })),
      ...(uid ? [demand({ group: authenticationGroup, resource: 'uids', name: uid })] : []),
      ...[...extra].flatMap(([subresource, list]) =>
        list.map((value) => demand({ group: authenticationGroup, resource: 'userextras', subresource, name: value })),
      ),
    ],
  };
}

interface Header {
  readonly name: string;
  readonly value: string;
}

function impersonateHeaders(raw: readonly string[]): Header[] {
  const headers: Header[] = [];
  for (let index = 0; index + 1 < raw.length; index += 2) {
    const name = raw[index]!.toLowerCase();
    if (name.startsWith('impersonate-')) headers.push({ name, value: raw[index + 1]! });
  }
  return headers;
}

/** Keys are lower-case, and percent-encoded where a header name could not say them. */
function extraIn(headers: readonly Header[]): Map<string, string[]> {
  const extra = new Map<string, string[]>();
  for (const { name, value } of headers)
    if (name.startsWith(extraPrefix)) {
      const key = unescaped(name.slice(extraPrefix.length));
      extra.set(key, [...(extra.get(key) ?? []), value]);
    }
  return extra;
}

function unescaped(key: string): string {
  try {
    return decodeURIComponent(key);
  } catch {
    return key;
  }
}

/** Whoever is impersonated counts as authenticated; a ServiceAccount is in its groups unless others are named. */
function completeGroups(name: string, groups: readonly string[]): readonly string[] {
  const account = parseServiceAccountUser(name);
  const named = account && groups.length === 0 ? serviceAccountGroups(account.namespace) : groups;
  const standing = name === anonymousUser ? unauthenticatedGroup : authenticatedGroup;
  return named.includes(standing) ? named : [...named, standing];
}

function nameDemand(name: string): ResourceAttributes {
  const account = parseServiceAccountUser(name);
  return account
    ? demand({ group: '', resource: 'serviceaccounts', ...account })
    : demand({ group: '', resource: 'users', name });
}

function demand(what: Omit<ResourceAttributes, 'verb'>): ResourceAttributes {
  return { verb: 'impersonate', ...what };
}
