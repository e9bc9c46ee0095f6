/** What happens to every request, step by step. Each step is one file in chain/. */
import type { LogFile } from '#apiserver/audit/log-file.ts';
import type { AuditPolicy } from '#apiserver/audit/policy.ts';
import type { Access } from '#apiserver/auth/access.ts';
import type { Log } from '#lib/std/log.ts';
import { answer } from './chain/answer.ts';
import { audit, auditStrangers } from './chain/audit.ts';
import { identify } from './chain/authenticate.ts';
import { askWhetherAllowed } from './chain/authorize.ts';
import { keepDeadline } from './chain/deadline.ts';
import { knowDefinitions } from './chain/definitions.ts';
import { wallOffErrors } from './chain/error-wall.ts';
import { Exchange, runChain, type Step } from './chain/exchange.ts';
import { auditIdOf, setCommonHeaders } from './chain/headers.ts';
import { impersonate } from './chain/impersonate.ts';
import type { Leaving } from './chain/leaving.ts';
import { counted, measure } from './chain/measure.ts';
import { refuseLate } from './chain/refuse-late.ts';
import { shareFairly } from './chain/share.ts';
import type { Definitions } from './definitions/definitions.ts';
import type { Documents } from './documents.ts';
import type { Fairness } from './fairness/fairness.ts';
import type { Health } from './health.ts';
import { requestInfo } from './http/request-info.ts';
import type { HttpRequest, HttpResponse } from './http/transport.ts';
import type { Metrics } from './metrics/metrics.ts';
import type { Registry } from './resources/registry.ts';
import type { ServerContext } from './verbs/server-context.ts';

export interface Pipeline {
  readonly context: ServerContext;
  readonly registry: Registry;
  readonly definitions: Pick<Definitions, 'catchUp'>;
  readonly access: Access;
  readonly documents: Documents;
  readonly health: Health;
  readonly metrics: Metrics;
  readonly log: Log;
  /** The server has been told to stop: whoever gets an answer need not come again over the same connection. */
  readonly stopping: () => boolean;
  /** Aborts when nothing new is taken any more. */
  readonly over: AbortSignal;
  /** Not there if nothing is to be written down. */
  readonly audit?: { readonly policy: AuditPolicy; readonly file: LogFile };
  readonly fairness: Fairness;
  readonly leaving: Leaving;
  /** Value of the header of that name; not sent unless given. */
  readonly strictTransportSecurity?: string;
}

/** In the order of Kubernetes (apiserver, server/config.go, DefaultBuildHandlerChain), outermost first. */
const chain: readonly Step[] = [
  measure,
  wallOffErrors,
  setCommonHeaders,
  refuseLate,
  keepDeadline,
  auditStrangers,
  counted(identify, 'authentications', ['success', 'failure']),
  audit,
  impersonate,
  shareFairly,
  counted(askWhetherAllowed, 'authorizations', ['allowed', 'denied']),
  knowDefinitions,
  answer,
];

/** Answers one request; never rejects. */
export async function handle(server: Pipeline, request: HttpRequest, response: HttpResponse): Promise<void> {
  const info = requestInfo(request.method, request.url);
  const auditId = auditIdOf(request.headers['audit-id'], server.context.random);
  await runChain(chain, new Exchange(server, request, response, info, auditId));
}
