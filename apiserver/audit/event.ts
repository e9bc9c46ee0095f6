/** audit.k8s.io/v1 Event: what is written down of one stage of a request. */

import type { User } from '#apiserver/auth/user.ts';
import type { Exchange } from '#apiserver/chain/exchange.ts';
import type { Json, JsonObject } from '#apiserver/json/json.ts';
import type { Level, Stage } from './policy.ts';

/** What has been said so far. */
export interface Said {
  readonly level: Level;
  readonly receivedMs: number;
  /** Body of the request and of the answer, as far as the level wants them. */
  requestObject?: Json;
  responseObject?: Json;
}

export interface Outcome {
  readonly code: number;
  readonly reason?: string;
  readonly message?: string;
}

/** One line; bodies are left out of one that would be longer (Kubernetes' --audit-log-truncate-max-event-size). */
const maxBytes = 100 * 1024;

export function lineOf(exchange: Exchange, stage: Stage, said: Said, outcome?: Outcome): string {
  const event = eventOf(exchange, stage, said, outcome);
  const whole = JSON.stringify({ ...event, ...bodiesOf(said) });
  if (whole.length <= maxBytes) return whole;
  return JSON.stringify({ ...event, annotations: { 'audit.k8s.io/truncated': 'true' } });
}

function bodiesOf({ requestObject, responseObject }: Said): JsonObject {
  return {
    ...(requestObject === undefined ? {} : { requestObject }),
    ...(responseObject === undefined ? {} : { responseObject }),
  };
}

function eventOf(exchange: Exchange, stage: Stage, said: Said, outcome: Outcome | undefined): JsonObject {
  const { request, info, caller, auditId, server } = exchange;
  const impersonated = caller.user === caller.sender.user ? undefined : caller.user;
  return {
    kind: 'Event',
    apiVersion: 'audit.k8s.io/v1',
    level: said.level,
    auditID: auditId,
    stage,
    requestURI: request.url,
    verb: info.verb,
    user: userOf(caller.sender.user),
    ...(impersonated ? { impersonatedUser: userOf(impersonated) } : {}),
    sourceIPs: [request.socket.remoteAddress ?? ''],
    userAgent: request.headers['user-agent'] ?? '',
    ...objectRef(exchange),
    ...(outcome ? { responseStatus: statusOf(outcome) } : {}),
    requestReceivedTimestamp: microTime(said.receivedMs),
    stageTimestamp: microTime(server.context.clock.now()),
  };
}

function userOf({ name, uid, groups, extra }: User): JsonObject {
  return {
    username: name,
    ...(uid === undefined ? {} : { uid }),
    groups: [...groups],
    ...(extra ? { extra: Object.fromEntries([...extra].map(([key, values]) => [key, [...values]])) } : {}),
  };
}

function objectRef({ info: { path } }: Exchange): JsonObject {
  if (path.type !== 'resource') return {};
  const { group, version, plural, namespace, name, subresource } = path;
  return {
    objectRef: {
      resource: plural,
      ...(namespace === undefined ? {} : { namespace }),
      ...(name === undefined ? {} : { name }),
      ...(group === '' ? {} : { apiGroup: group }),
      apiVersion: version,
      ...(subresource === undefined ? {} : { subresource }),
    },
  };
}

function statusOf({ code, reason, message }: Outcome): JsonObject {
  if (reason === undefined) return { metadata: {}, code };
  return { metadata: {}, status: 'Failure', reason, ...(message === undefined ? {} : { message }), code };
}

/** metav1.MicroTime; the clock has no more than milliseconds. */
function microTime(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 23)}000Z`;
}
