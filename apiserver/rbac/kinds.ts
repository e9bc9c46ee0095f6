/** Roles and bindings as kinds (rbac.authorization.k8s.io/v1). */
import { age, builtin } from '#apiserver/resources/builtin-kind.ts';
import { kindSchema, list, object, text } from '#apiserver/resources/builtin-schemas.ts';
import type { Column, Resource } from '#apiserver/resources/resource.ts';
import type { Schema } from '#apiserver/schema/schema.ts';
import type { RbacKind } from './policy.ts';
import { rbacGroup } from './rule.ts';

const texts = (description: string) => list(description, { type: 'string' });

const rules = {
  ...list(
    'What may be done.',
    object(
      'Verbs on resources, or on paths that are none.',
      {
        verbs: texts('Verbs; "*" is all of them.'),
        apiGroups: texts('Groups of the resources; "" is the core group, "*" is all of them.'),
        resources: texts(
          'Plurals, with a subresource behind a slash; "*" is all of them, "*/scale" all scale subresources.',
        ),
        resourceNames: texts('Only objects of these names; all if empty.'),
        nonResourceURLs: texts('Paths, or beginnings of paths before a "*". Only in a ClusterRole.'),
      },
      ['verbs'],
    ),
  ),
  nullable: true,
} satisfies Schema;

const selector = object('Which labels a ClusterRole must have.', {
  matchLabels: { type: 'object', additionalProperties: { type: 'string' }, description: 'Labels with their values.' },
  matchExpressions: list(
    'Requirements on labels.',
    object(
      'One requirement.',
      {
        key: text('The label.'),
        operator: text('In, NotIn, Exists or DoesNotExist.'),
        values: texts('For In and NotIn.'),
      },
      ['key', 'operator'],
    ),
  ),
});

const roleRef: Schema = {
  ...object(
    'The role that is given. Cannot be changed: delete the binding and create it again.',
    { apiGroup: text(rbacGroup), kind: text('Role or ClusterRole.'), name: text('Its name.') },
    ['kind', 'name'],
  ),
};

const subjects = list(
  'Who is given the role.',
  object(
    'A user, a group, or a ServiceAccount.',
    {
      kind: text('User, Group or ServiceAccount.'),
      apiGroup: text(`${rbacGroup} for users and groups, empty for a ServiceAccount.`),
      name: text('Its name.'),
      namespace: text('Of a ServiceAccount.'),
    },
    ['kind', 'name'],
  ),
);

const created: Column = { ...age, name: 'Created At' };
const roleColumn: Column = { name: 'Role', type: 'string', jsonPath: '.roleRef.name' };

export const roles: Resource = builtin(rbacGroup, {
  kind: 'Role',
  plural: 'roles',
  schema: kindSchema('Rights in its namespace, once a RoleBinding gives them to somebody.', { rules }),
  columns: [created],
});

export const clusterRoles: Resource = builtin(
  rbacGroup,
  {
    kind: 'ClusterRole',
    plural: 'clusterroles',
    schema: kindSchema('Rights in the whole cluster, or in each namespace whose RoleBinding names it.', {
      rules,
      aggregationRule: object('Its rules are those of others, kept up by the server.', {
        clusterRoleSelectors: list('Rules of every ClusterRole that one of these selects.', selector),
      }),
    }),
    columns: [created],
  },
  { namespaced: false },
);

export const roleBindings: Resource = builtin(rbacGroup, {
  kind: 'RoleBinding',
  plural: 'rolebindings',
  schema: kindSchema('Gives the rights of a role to somebody, in its namespace.', { subjects, roleRef }, ['roleRef']),
  columns: [roleColumn, age],
});

export const clusterRoleBindings: Resource = builtin(
  rbacGroup,
  {
    kind: 'ClusterRoleBinding',
    plural: 'clusterrolebindings',
    schema: kindSchema('Gives the rights of a ClusterRole to somebody, in the whole cluster.', { subjects, roleRef }, [
      'roleRef',
    ]),
    columns: [roleColumn, age],
  },
  { namespaced: false },
);

export const rbacResources: Readonly<Record<RbacKind, Resource>> = {
  Role: roles,
  ClusterRole: clusterRoles,
  RoleBinding: roleBindings,
  ClusterRoleBinding: clusterRoleBindings,
};

/** Names of these objects are path segments, not host names: `system:discovery` is one. */
export function hasSegmentName({ group }: Pick<Resource, 'group'>): boolean {
  return group === rbacGroup;
}
