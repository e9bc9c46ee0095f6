import type { Attributes, ResourceAttributes } from '#apiserver/auth/attributes.ts';
import type { User } from '#apiserver/auth/user.ts';
import type { Answer, Call } from '#apiserver/http/call.ts';
import { invalidObject } from '#apiserver/http/status.ts';
import { at, isObject, type Json, type JsonObject } from '#apiserver/json/json.ts';
import { objectsIn, textIn, textsIn } from '#apiserver/json/members.ts';
import type { ApiObject } from '#apiserver/json/object.ts';
import { invalid, required } from '#apiserver/schema/causes.ts';
import { parseFieldTerms } from '#apiserver/selectors/fields.ts';
import { parseLabelRequirements } from '#apiserver/selectors/labels.ts';
import type { ServerContext } from '#apiserver/verbs/server-context.ts';
import type { Requirement } from '#lib/api/selectors.ts';
import type { Cause } from '#lib/std/errors.ts';
import { answered, readReview, specOf } from './review.ts';

export async function reviewOwnAccess(context: ServerContext, call: Call): Promise<Answer> {
  const review = await readReview(call);
  refuse(call, checkWhat(specOf(review)));
  return decide(context, review, call.user);
}

export async function reviewSubjectAccess(context: ServerContext, call: Call): Promise<Answer> {
  const review = await readReview(call);
  refuse(call, [...checkWhat(specOf(review)), ...checkWho(specOf(review))]);
  return decide(context, review, subjectOf(specOf(review)));
}

export async function reviewLocalAccess(context: ServerContext, call: Call): Promise<Answer> {
  const review = await readReview(call);
  const spec = specOf(review);
  refuse(call, [...checkLocal(spec, call.path.namespace ?? ''), ...checkWho(spec)]);
  return decide(context, review, subjectOf(spec));
}

function refuse({ resource }: Call, causes: readonly Cause[]): void {
  if (causes.length > 0) throw invalidObject(resource, '', causes);
}

function checkWhat(spec: JsonObject): Cause[] {
  const both = [at(spec, 'resourceAttributes'), at(spec, 'nonResourceAttributes')].filter(isObject);
  if (both.length === 1) return [];
  const why =
    both.length === 0
      ? 'exactly one of nonResourceAttributes or resourceAttributes must be specified'
      : 'cannot be specified in combination with resourceAttributes';
  return [invalid(both.length === 0 ? 'spec.resourceAttributes' : 'spec.nonResourceAttributes', both[1] ?? null, why)];
}

function checkWho(spec: JsonObject): Cause[] {
  if (textIn(spec, 'user') !== '' || textsIn(spec, 'groups').length > 0) return [];
  return [required('spec.user', 'at least one of user or group must be specified')];
}

function checkLocal(spec: JsonObject, namespace: string): Cause[] {
  const asked = at(spec, 'resourceAttributes');
  if (at(spec, 'nonResourceAttributes') !== undefined)
    return [invalid('spec.nonResourceAttributes', null, 'disallowed on this kind of request')];
  if (!isObject(asked)) return checkWhat(spec);
  const other = textIn(asked, 'namespace');
  if (other === namespace) return [];
  return [invalid('spec.resourceAttributes.namespace', other, `must match metadata.namespace: ${namespace}`)];
}

function subjectOf(spec: JsonObject): User {
  const extra = at(spec, 'extra');
  const uid = textIn(spec, 'uid');
  return {
    name: textIn(spec, 'user'),
    groups: textsIn(spec, 'groups'),
    ...(uid === '' ? {} : { uid }),
    ...(isObject(extra) ? { extra: new Map(Object.keys(extra).map((key) => [key, textsIn(extra, key)])) } : {}),
  };
}

function decide({ access }: ServerContext, review: ApiObject, user: User): Answer {
  const { verdict, reason } = access.authorizer(user, attributesIn(specOf(review)));
  return answered(review, {
    allowed: verdict === 'allow',
    ...(verdict === 'deny' ? { denied: true } : {}),
    ...(reason ? { reason } : {}),
  });
}

function attributesIn(spec: JsonObject): Attributes {
  const path = at(spec, 'nonResourceAttributes');
  if (isObject(path)) return { verb: textIn(path, 'verb'), path: textIn(path, 'path') };
  const asked = at(spec, 'resourceAttributes');
  return resourceAttributesIn(isObject(asked) ? asked : {});
}

function resourceAttributesIn(asked: JsonObject): ResourceAttributes {
  const set = (field: 'version' | 'subresource' | 'namespace' | 'name') => {
    const value = textIn(asked, field);
    return value === '' ? {} : { [field]: value };
  };
  const labels = labelRequirements(at(asked, 'labelSelector'));
  const fields = fieldTerms(at(asked, 'fieldSelector'));
  return {
    verb: textIn(asked, 'verb'),
    group: textIn(asked, 'group'),
    resource: textIn(asked, 'resource'),
    ...set('version'),
    ...set('subresource'),
    ...set('namespace'),
    ...set('name'),
    ...(fields ? { fieldSelector: fields } : {}),
    ...(labels ? { labelSelector: labels } : {}),
  };
}

function labelRequirements(selector: Json | undefined): Requirement[] | undefined {
  if (!isObject(selector)) return undefined;
  const raw = textIn(selector, 'rawSelector');
  if (raw !== '') return parseLabelRequirements(raw);
  return objectsIn(selector, 'requirements').map((requirement) => ({
    key: textIn(requirement, 'key'),
    operator: textIn(requirement, 'operator') as Requirement['operator'],
    values: textsIn(requirement, 'values'),
  }));
}

/** Field selectors know equality only: a requirement of other operators restricts nothing that could be relied on. */
function fieldTerms(selector: Json | undefined): ResourceAttributes['fieldSelector'] {
  if (!isObject(selector)) return undefined;
  const raw = textIn(selector, 'rawSelector');
  if (raw !== '') return parseFieldTerms(raw);
  return objectsIn(selector, 'requirements').flatMap((requirement) => {
    const operator = textIn(requirement, 'operator');
    const [value, ...more] = textsIn(requirement, 'values');
    if ((operator !== 'In' && operator !== 'NotIn') || value === undefined || more.length > 0) return [];
    return [{ label: textIn(requirement, 'key'), equal: operator === 'In', value }];
  });
}
