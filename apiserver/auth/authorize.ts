import { qualifiedName } from '#apiserver/resources/resource.ts';
import { ApiError } from '#lib/std/errors.ts';
import type { Attributes, ResourceAttributes } from './attributes.ts';
import { mastersGroup, type User } from './user.ts';

/** `none`: no opinion, the next one decides. `reason` goes to the client, so it must not tell what exists. */
export type Decision =
  | { readonly verdict: 'allow'; readonly reason: string }
  | { readonly verdict: 'deny' | 'none'; readonly reason?: string };

/** Decides from memory alone: it is asked on every request. */
export type Authorizer = (user: User, attributes: Attributes) => Decision;

/** The first that allows or denies decides; nobody's opinion is a refusal, with all reasons that were given. */
export function authorizerChain(...authorizers: readonly Authorizer[]): Authorizer {
  return (user, attributes) => {
    const reasons: string[] = [];
    for (const authorizer of authorizers) {
      const decision = authorizer(user, attributes);
      if (decision.verdict !== 'none') return decision;
      if (decision.reason) reasons.push(decision.reason);
    }
    return reasons.length > 0 ? { verdict: 'none', reason: reasons.join('; ') } : { verdict: 'none' };
  };
}

export const allowMasters: Authorizer = (user) =>
  user.groups.includes(mastersGroup) ? { verdict: 'allow', reason: `group ${mastersGroup}` } : { verdict: 'none' };

/** Forbidden, in Kubernetes' words, unless it is allowed. */
export function requireAllowed(authorizer: Authorizer, user: User, attributes: Attributes): void {
  const { verdict, reason } = authorizer(user, attributes);
  if (verdict !== 'allow') throw refusal(user, attributes, reason);
}

function refusal(user: User, attributes: Attributes, reason = ''): ApiError {
  const because = reason === '' ? '' : `: ${reason}`;
  if ('path' in attributes) {
    const { verb, path } = attributes;
    return new ApiError('Forbidden', `forbidden: User "${user.name}" cannot ${verb} path "${path}"${because}`);
  }
  const { group, resource, name } = attributes;
  const what = `${qualifiedName({ group, plural: resource })}${name === undefined ? '' : ` "${name}"`}`;
  return new ApiError('Forbidden', `${what} is forbidden: ${cannot(user, attributes)}${because}`, {
    details: { group, kind: resource, ...(name === undefined ? {} : { name }) },
  });
}

function cannot(user: User, { verb, group, resource, subresource, namespace }: ResourceAttributes): string {
  const full = subresource === undefined ? resource : `${resource}/${subresource}`;
  const where = namespace === undefined ? 'at the cluster scope' : `in the namespace "${namespace}"`;
  return `User "${user.name}" cannot ${verb} resource "${full}" in API group "${group}" ${where}`;
}
