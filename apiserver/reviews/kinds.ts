/** Questions about access: kinds that are created to be answered, and never stored (authorization.k8s.io/v1, authentication.k8s.io/v1). */
import { builtin } from '#apiserver/resources/builtin-kind.ts';
import { kindSchema, list, object, text } from '#apiserver/resources/builtin-schemas.ts';
import type { Answering, Resource } from '#apiserver/resources/resource.ts';
import type { Schema } from '#apiserver/schema/schema.ts';
import { reviewLocalAccess, reviewOwnAccess, reviewSubjectAccess } from './access-review.ts';
import { reviewOwnRules } from './rules-review.ts';
import { reviewSelf } from './self-review.ts';
import { reviewToken } from './token-review.ts';

const texts = (description: string) => list(description, { type: 'string' });
const extra: Schema = {
  type: 'object',
  description: 'More about the user, as its authenticator tells.',
  additionalProperties: texts('Values.'),
};

const selector = (description: string) =>
  object(description, {
    rawSelector: text('As it stands in a query.'),
    requirements: list(
      'Taken apart.',
      object(
        'One requirement.',
        { key: text('Label or field.'), operator: text('In, NotIn, …'), values: texts('Values.') },
        ['key', 'operator'],
      ),
    ),
  });

const resourceAttributes = object('A request on a resource.', {
  namespace: text('Empty: all namespaces, or a resource of the cluster.'),
  verb: text('get, list, watch, create, update, patch, delete, deletecollection, …'),
  group: text('Group of the resource.'),
  version: text('Version of the group.'),
  resource: text('Plural.'),
  subresource: text('Such as status.'),
  name: text('Empty: all objects.'),
  fieldSelector: selector('What a list is restricted to by fields.'),
  labelSelector: selector('What a list is restricted to by labels.'),
});

const nonResourceAttributes = object('A request on a path that is no resource.', {
  path: text('The path.'),
  verb: text('The method in small letters.'),
});

const accessStatus = object('The answer.', {
  allowed: { type: 'boolean', description: 'Whether it may be done.' },
  denied: { type: 'boolean', description: 'Whether it is refused whatever roles say.' },
  reason: text('Why.'),
  evaluationError: text('What could not be found out.'),
});

const subjectSpec = object('Who wants to do what.', {
  resourceAttributes,
  nonResourceAttributes,
  user: text('Name of the user.'),
  groups: texts('Its groups.'),
  uid: text('Its uid.'),
  extra,
});

const userInfo = object('A user.', {
  username: text('Name.'),
  uid: text('Uid.'),
  groups: texts('Groups.'),
  extra,
});

const rule = (description: string, fields: readonly string[]) =>
  object(description, Object.fromEntries(fields.map((field) => [field, texts('As in a role.')])), ['verbs']);

interface Question {
  readonly group: string;
  readonly kind: string;
  readonly namespaced?: boolean;
  readonly description: string;
  readonly fields: Record<string, Schema>;
  readonly answer: Answering;
}

function question({ group, kind, namespaced = false, description, fields }: Omit<Question, 'answer'>): Resource {
  const schema = kindSchema(description, fields);
  const definition = { kind, plural: `${kind.toLowerCase()}s`, schema, columns: [] };
  return { ...builtin(group, definition, { namespaced }), verbs: ['create'] };
}

function review({ answer, ...asked }: Question): Resource {
  return { ...question(asked), answer };
}

const authorization = 'authorization.k8s.io';
const authentication = 'authentication.k8s.io';

export const reviews: readonly Resource[] = [
  review({
    group: authorization,
    kind: 'SelfSubjectAccessReview',
    description: 'May I?',
    fields: { spec: object('What.', { resourceAttributes, nonResourceAttributes }), status: accessStatus },
    answer: reviewOwnAccess,
  }),
  review({
    group: authorization,
    kind: 'SubjectAccessReview',
    description: 'May they?',
    fields: { spec: subjectSpec, status: accessStatus },
    answer: reviewSubjectAccess,
  }),
  review({
    group: authorization,
    kind: 'LocalSubjectAccessReview',
    namespaced: true,
    description: 'May they, in this namespace?',
    fields: { spec: subjectSpec, status: accessStatus },
    answer: reviewLocalAccess,
  }),
  review({
    group: authorization,
    kind: 'SelfSubjectRulesReview',
    description: 'What may I in a namespace?',
    fields: {
      spec: object('Where.', { namespace: text('The namespace.') }),
      status: object('The answer.', {
        resourceRules: list('On resources.', rule('One rule.', ['verbs', 'apiGroups', 'resources', 'resourceNames'])),
        nonResourceRules: list('On other paths.', rule('One rule.', ['verbs', 'nonResourceURLs'])),
        incomplete: { type: 'boolean', description: 'More may be allowed than is listed.' },
        evaluationError: text('What could not be found out.'),
      }),
    },
    answer: reviewOwnRules,
  }),
  review({
    group: authentication,
    kind: 'SelfSubjectReview',
    description: 'Who am I?',
    fields: { status: object('The answer.', { userInfo }) },
    answer: reviewSelf,
  }),
  review({
    group: authentication,
    kind: 'TokenReview',
    description: 'Whose token is this?',
    fields: {
      spec: object('The token.', { token: text('The token.'), audiences: texts('Whom it must be meant for.') }),
      status: object('The answer.', {
        authenticated: { type: 'boolean', description: 'Whether it is believed.' },
        user: userInfo,
        audiences: texts('Those of the audiences that it is meant for.'),
        error: text('Why it is not believed.'),
      }),
    },
    answer: reviewToken,
  }),
];

/** Not served by itself: the body of serviceaccounts/token. */
export const tokenRequests: Resource = question({
  group: authentication,
  kind: 'TokenRequest',
  namespaced: true,
  description: 'A token, please.',
  fields: {
    spec: object('What token.', {
      audiences: texts('Whom it is meant for; this server unless told.'),
      expirationSeconds: {
        type: 'integer',
        description: 'How long it holds; an hour unless told, at least ten minutes.',
        nullable: true,
      },
      boundObjectRef: {
        ...object('It holds no longer than this object.', {
          kind: text('Secret.'),
          apiVersion: text('v1.'),
          name: text('Its name.'),
          uid: text('Its uid.'),
        }),
        nullable: true,
      },
    }),
    status: object('The token.', { token: text('The token.'), expirationTimestamp: text('Until when it holds.') }),
  },
});
