/** The API server as a value: started with a store, stopped by disposing of it. */
import { once } from 'node:events';
import { createSecureServer, type Http2SecureServer } from 'node:http2';
import type { AddressInfo } from 'node:net';
import type { Clock } from '#lib/std/clock.ts';
import { systemClock } from '#lib/std/clock.ts';
import { type Log, silentLog } from '#lib/std/log.ts';
import { type Random, systemRandom } from '#lib/std/random.ts';
import { LogFile, type LogFileOptions } from './audit/log-file.ts';
import type { AuditPolicy } from './audit/policy.ts';
import { createAccess } from './auth/access.ts';
import { forThisServer } from './auth/authenticate.ts';
import { allowMasters } from './auth/authorize.ts';
import { boundObjects, followBoundObjects } from './auth/bound-objects.ts';
import type { TokenOptions } from './auth/flags.ts';
import { oidcTokens } from './auth/oidc.ts';
import { serviceAccountTokens } from './auth/service-account-tokens.ts';
import { readTokens } from './auth/tokens.ts';
import { createDefaults, type Patience, waitForRoles, waitForStore } from './bootstrap.ts';
import { createLeaving } from './chain/leaving.ts';
import { cachedObjects, confineClusterServers } from './cluster-server/authorizer.ts';
import { followClusters } from './cluster-server/follow-clusters.ts';
import { SecretsInUse } from './cluster-server/secrets-in-use.ts';
import { trackConnections } from './connections.ts';
import { createConsole } from './console/console.ts';
import { Definitions } from './definitions/definitions.ts';
import { installDefinitions } from './definitions/install.ts';
import { definitionKind } from './definitions/kind.ts';
import { createDocuments } from './documents.ts';
import { createFairness, defaultLimits, type FairnessLimits } from './fairness/fairness.ts';
import { createHealth, serverChecks } from './health.ts';
import type { HttpRequest, HttpResponse } from './http/transport.ts';
import { meteredStore } from './metrics/metered-store.ts';
import { createMetrics } from './metrics/metrics.ts';
import { handle, type Pipeline } from './pipeline.ts';
import { keepPolicy } from './rbac/keep.ts';
import { rbacResources } from './rbac/kinds.ts';
import { Policy } from './rbac/policy.ts';
import { builtins } from './resources/builtin.ts';
import type { Crd } from './resources/crd.ts';
import { createRegistry, type Registry } from './resources/registry.ts';
import { reviews } from './reviews/kinds.ts';
import { defaultShutdown, type ShutdownTimes, shutDown } from './shutdown.ts';
import { createCaches } from './storage/caches.ts';
import { startCompactor } from './store/compactor.ts';
import type { Store } from './store/store.ts';
import type { ServerContext } from './verbs/server-context.ts';

export interface ServerOptions extends TokenOptions {
  /** Stays the caller's: it is not closed with the server. */
  readonly store: Store;
  /** Port 0 lets the kernel choose. */
  readonly listen: { readonly host: string; readonly port: number };
  /** PEM texts. Client certificates are believed if `clientCa` signed them. */
  readonly tls: { readonly certificate: string; readonly key: string; readonly clientCa: string };
  /** Kubernetes' static token file: lines of `token,user,uid,"group1,group2"`. */
  readonly tokens: string;
  /** Installed at the start: created if absent, updated if they differ. Others that are in the store are served as well. */
  readonly crds: readonly Crd[];
  /** How much may be under way at once; Kubernetes' figures unless told. */
  readonly limits?: FairnessLimits;
  readonly shutdown?: ShutdownTimes;
  /** Where to write down who asked for what; nowhere unless told. */
  readonly audit?: AuditOptions;
  /** Sent with every answer as Strict-Transport-Security; nothing unless told. */
  readonly strictTransportSecurity?: string;
  readonly clock?: Clock;
  readonly random?: Random;
  readonly log?: Log;
  /** How long to wait for the store at the start; a minute unless told. */
  readonly storeDeadlineMs?: number;
  /** Aborts the wait for the store. */
  readonly signal?: AbortSignal;
}

export interface AuditOptions extends Pick<LogFileOptions, 'path' | 'maxBytes' | 'maxBackups'> {
  readonly policy: AuditPolicy;
}

export interface ApiServer extends AsyncDisposable {
  /** https://host:port */
  readonly url: string;
  readonly port: number;
  readonly registry: Registry;
}

const defaultStoreDeadlineMs = 60_000;
/** Whom tokens for this server are meant for, when it issues none itself. */
const defaultAudience = 'https://kubernetes.default.svc';

/** Resolves when requests are answered. Rejects if the store does not answer in time or the port is taken. */
export async function startServer(options: ServerOptions): Promise<ApiServer> {
  const { clock = systemClock, random = systemRandom, log = silentLog } = options;
  await using stack = new AsyncDisposableStack();
  const metrics = stack.use(createMetrics());
  const store = meteredStore(options.store, metrics, clock);
  const caches = stack.use(createCaches({ store, clock, random, log }));
  stack.use(startCompactor({ store, clock, random, log, reached: () => caches.reached() }));
  const policy = new Policy();
  const ownKinds = [...builtins, ...Object.values(rbacResources), ...reviews, definitionKind];
  const registry = createRegistry(ownKinds);
  const accountTokens =
    options.serviceAccounts &&
    serviceAccountTokens(options.serviceAccounts, boundObjects(store, caches, registry), { clock, random });
  const audiences = [options.serviceAccounts?.issuer ?? defaultAudience];
  const tokens = [
    forThisServer(readTokens(options.tokens), audiences),
    ...(accountTokens ? [accountTokens.authenticator] : []),
    ...(options.oidc ? [forThisServer(oidcTokens(options.oidc, clock), audiences)] : []),
  ];
  const used = new SecretsInUse();
  const confined = confineClusterServers(cachedObjects(caches, registry), (...secret) => used.isUsed(...secret));
  const authorizers = [allowMasters, confined];
  const access = stack.use(createAccess({ tokens, audiences, authorizers, policy, clock, log }));
  const context: ServerContext = { access, serviceAccountTokens: accountTokens, store, caches, clock, random };
  const patience: Patience = {
    clock,
    random,
    log,
    deadlineMs: options.storeDeadlineMs ?? defaultStoreDeadlineMs,
    signal: options.signal ?? new AbortController().signal,
  };
  await waitForStore(() => createDefaults(context), patience);
  // All caches from the start: one made at the first watch would know nothing of what happened since that client's list.
  caches.follow(registry.stored());
  const definitions = stack.use(new Definitions({ context, registry, builtins: ownKinds, log }));
  await waitForStore(() => installDefinitions(options.crds, context, log), patience);
  await waitForStore(() => definitions.settle(), patience);
  const keeper = keepPolicy(policy, { store, caches, clock, random, log, changed: () => access.recheck() });
  await waitForRoles(stack.use(keeper).loaded, patience);
  const audit = options.audit && {
    policy: options.audit.policy,
    file: stack.use(
      new LogFile({ ...options.audit, lost: (lines) => metrics.auditErrors.add(['log'], lines), clock, log }),
    ),
  };
  stack.use(followBoundObjects(caches, registry, () => access.recheck(), { clock, random, log }));
  stack.use(used.follow(caches, registry, { clock, random, log }));
  stack.use(followClusters(caches, registry, () => access.recheck(), { clock, random, log }));
  let stopping = false;
  const over = new AbortController();
  const server = secureServer(options);
  const pipeline: Pipeline = {
    context,
    registry,
    definitions,
    access,
    documents: createDocuments(registry),
    health: createHealth(
      serverChecks({ store, registry, caches, stopping: () => stopping, logging: () => !audit?.file.stuck }),
      clock,
    ),
    metrics,
    log,
    over: over.signal,
    stopping: () => stopping,
    ...(audit ? { audit } : {}),
    fairness: createFairness(options.limits ?? defaultLimits, metrics, clock),
    leaving: createLeaving(clock),
    ...(options.strictTransportSecurity ? { strictTransportSecurity: options.strictTransportSecurity } : {}),
  };
  server.on('request', (request, response) => {
    void handle(pipeline, request as unknown as HttpRequest, response as unknown as HttpResponse);
  });
  server.on('upgrade', createConsole(pipeline));
  const connections = trackConnections(server, clock, log);
  server.listen(options.listen.port, options.listen.host);
  await once(server, 'listening');
  const { leaving } = pipeline;
  const announce = () => {
    stopping = true;
  };
  const hangUp = () => over.abort(new Error('The server is stopping'));
  const parts = { clock, log, connections, leaving, announce, hangUp };
  stack.defer(() => shutDown(parts, options.shutdown ?? defaultShutdown));
  const { port } = server.address() as AddressInfo;
  const running = stack.move();
  const url = `https://${options.listen.host}:${port}`;
  log.info('Serving', { url, kinds: registry.all().length });
  return { url, port, registry, [Symbol.asyncDispose]: () => running.disposeAsync() };
}

function secureServer({ tls }: ServerOptions): Http2SecureServer {
  return createSecureServer({
    allowHTTP1: true,
    cert: tls.certificate,
    key: tls.key,
    ca: tls.clientCa,
    // A client may come with a token instead: whether its certificate counts is decided per request.
    requestCert: true,
    rejectUnauthorized: false,
    // Selectors stand in the URL.
    maxHeaderSize: 64 * 1024,
    // Go's clients keep idle connections for 90 s; closing them earlier would race with their next request.
    keepAliveTimeout: 120_000,
    headersTimeout: 125_000,
    // A file that is uploaded takes as long as it takes. Every other request has a deadline of its own (chain/deadline.ts).
    requestTimeout: 0,
    settings: { maxConcurrentStreams: 1_000 },
  } as Parameters<typeof createSecureServer>[0]);
}
