import type { BoundKind, ServiceAccountTokens, TokenWish } from '#apiserver/auth/service-account-tokens.ts';
import type { Answer, Call } from '#apiserver/http/call.ts';
import { conflict, invalidObject, notFound } from '#apiserver/http/status.ts';
import { at, isObject, type JsonObject } from '#apiserver/json/json.ts';
import { textIn, textsIn } from '#apiserver/json/members.ts';
import { invalid, notSupported } from '#apiserver/schema/causes.ts';
import { readObject } from '#apiserver/storage/objects.ts';
import type { ServerContext } from '#apiserver/verbs/server-context.ts';
import { timestamp } from '#lib/std/clock.ts';
import { ApiError, type Cause } from '#lib/std/errors.ts';
import { tokenRequests } from './kinds.ts';
import { answered, readReview, specOf } from './review.ts';

const defaultSeconds = 3_600;
const minSeconds = 600;
const maxSeconds = 2 ** 32;

/** POST to serviceaccounts/token: a token of the account, for so long and for whom the request says. `kubectl create token`. */
export async function requestToken(context: ServerContext, call: Call): Promise<Answer> {
  const { access, clock, serviceAccountTokens: tokens } = context;
  if (!tokens)
    throw new ApiError('MethodNotAllowed', 'this server signs no tokens: it has no --service-account-signing-key-file');
  const { resource, path } = call;
  const namespace = path.namespace ?? '';
  const account = await readObject(context.store, { resource, namespace, name: path.name ?? '' });
  const review = await readReview({ ...call, resource: tokenRequests });
  const spec = specOf(review);
  const seconds = Number(at(spec, 'expirationSeconds') ?? defaultSeconds);
  const causes = [...checkSeconds(seconds), ...checkBound(spec)];
  if (causes.length > 0) throw invalidObject(tokenRequests, '', causes);
  const { name, uid } = account.metadata;
  const audiences = textsIn(spec, 'audiences');
  const wish: TokenWish = {
    namespace,
    account: { name, uid },
    audiences: audiences.length > 0 ? audiences : access.audiences,
    seconds,
    ...(await boundSecret(tokens, namespace, spec)),
  };
  const { token, expiresMs } = await tokens.issue(wish);
  const now = timestamp(clock.now());
  Object.assign(review.metadata, { name, namespace, creationTimestamp: now });
  const settled = { ...review, spec: { ...spec, audiences: [...wish.audiences], expirationSeconds: seconds } };
  return answered(settled, { token, expirationTimestamp: timestamp(expiresMs) });
}

function checkSeconds(seconds: number): Cause[] {
  const field = 'spec.expirationSeconds';
  if (seconds < minSeconds) return [invalid(field, seconds, 'may not specify a duration less than 10 minutes')];
  return seconds > maxSeconds ? [invalid(field, seconds, 'may not specify a duration larger than 2^32 seconds')] : [];
}

const bindable: BoundKind = 'Secret';

function checkBound(spec: JsonObject): Cause[] {
  const bound = at(spec, 'boundObjectRef');
  if (!isObject(bound) || (textIn(bound, 'kind') === bindable && textIn(bound, 'apiVersion') === 'v1')) return [];
  return [
    notSupported('spec.boundObjectRef', `${textIn(bound, 'apiVersion')}, Kind=${textIn(bound, 'kind')}`, [
      'v1, Kind=Secret',
    ]),
  ];
}

async function boundSecret(
  tokens: ServiceAccountTokens,
  namespace: string,
  spec: JsonObject,
): Promise<Pick<TokenWish, 'secret'>> {
  const bound = at(spec, 'boundObjectRef');
  if (!isObject(bound)) return {};
  const name = textIn(bound, 'name');
  const secret = await tokens.live.read(bindable, namespace, name);
  if (!secret) throw notFound(secrets, name);
  const { uid } = secret.metadata;
  const wanted = textIn(bound, 'uid');
  if (wanted === '' || wanted === uid) return { secret: { name, uid } };
  const why = `the UID in the bound object reference (${wanted}) does not match the UID in record (${uid})`;
  throw conflict(secrets, name, why);
}

const secrets = { group: '', plural: 'secrets' };
