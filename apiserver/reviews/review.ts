/** What all reviews have in common: the question is read like any object, the answer is the question with a status. */
import type { User } from '#apiserver/auth/user.ts';
import type { Answer, Call } from '#apiserver/http/call.ts';
import { invalidObject } from '#apiserver/http/status.ts';
import { at, isObject, type JsonObject } from '#apiserver/json/json.ts';
import type { ApiObject } from '#apiserver/json/object.ts';
import { schemaCauses } from '#apiserver/schema/check.ts';
import { readWriteOptions } from '#apiserver/verbs/options.ts';
import { prepare } from '#apiserver/verbs/prepare.ts';
import { readSent } from '#apiserver/verbs/sent.ts';

/** Invalid or BadRequest for what is no question of this kind. */
export async function readReview(call: Call): Promise<ApiObject> {
  const { resource, path } = call;
  const { fieldValidation } = readWriteOptions(call, 'CreateOptions');
  const review = prepare(await readSent(call), resource, fieldValidation, call.warn);
  // Old clients send an empty answer along.
  delete (review as JsonObject).status;
  const causes = schemaCauses(review, resource.schema, undefined);
  if (causes.length > 0) throw invalidObject(resource, '', causes);
  if (path.namespace !== undefined) review.metadata.namespace = path.namespace;
  return review;
}

export function specOf(review: ApiObject): JsonObject {
  const spec = at(review, 'spec');
  return isObject(spec) ? spec : {};
}

export function answered(review: ApiObject, status: JsonObject): Answer {
  return { status: 201, body: { ...review, status } };
}

/** authentication.k8s.io/v1 UserInfo. */
export function userInfo({ name, uid, groups, extra }: User): JsonObject {
  return {
    username: name,
    ...(uid ? { uid } : {}),
    groups: [...groups],
    ...(extra ? { extra: Object.fromEntries([...extra].map(([key, values]) => [key, [...values]])) } : {}),
  };
}
