import { ApiError } from '#lib/std/errors.ts';
import { authenticatedGroup, type User } from './user.ts';

/** What a request wants to do: a verb on a resource, or on a path that is none. */
export type Attributes =
  | {
      readonly verb: string;
      readonly group: string;
      /** Plural, with the subresource behind a slash: vmpools/scale. */
      readonly resource: string;
      readonly namespace?: string;
      readonly name?: string;
    }
  | { readonly verb: string; readonly path: string };

/**
 * Decides on every request, after it is known who sends it and before anything is looked up, so that a refusal tells nothing about what
 * exists. The rule today: whoever has shown who they are may do everything. Forbidden otherwise.
 */
export function authorize(user: User, attributes: Attributes): void {
  if (user.groups.includes(authenticatedGroup)) return;
  const { verb } = attributes;
  if ('path' in attributes)
    throw new ApiError('Forbidden', `User "${user.name}" cannot ${verb} path "${attributes.path}"`);
  const { group, resource, namespace } = attributes;
  const where = namespace === undefined ? 'at the cluster scope' : `in the namespace "${namespace}"`;
  const qualified = group === '' ? resource : `${resource}.${group}`;
  throw new ApiError(
    'Forbidden',
    `${qualified} is forbidden: User "${user.name}" cannot ${verb} resource "${resource}" in API group "${group}" ${where}`,
    { details: { group, kind: resource } },
  );
}
