/** Reads kubeconfig files, by @kubernetes/client-node. Which file ($KUBECONFIG, --kubeconfig) is the caller's to decide. */
import { readFileSync } from 'node:fs';
import type { RequestOptions } from 'node:https';
import { KubeConfig } from '@kubernetes/client-node';
import type { Endpoint } from './endpoint.ts';
import { type HttpClient, type HttpClientOptions, httpClient } from './http-client.ts';

type Cluster = NonNullable<ReturnType<KubeConfig['getCurrentCluster']>>;
type User = NonNullable<ReturnType<KubeConfig['getCurrentUser']>>;

export interface KubeconfigContext {
  readonly endpoint: Endpoint;
  /** Of the context; default if it names none. */
  readonly namespace: string;
}

/** A context of a kubeconfig file, the current one unless told. Throws an Error that names the file and what is wrong with it. */
export function readKubeconfig(file: string, context?: string): KubeconfigContext {
  const config = new KubeConfig();
  try {
    config.loadFromFile(file);
    if (context !== undefined) config.setCurrentContext(context);
  } catch (error) {
    throw new Error(`Cannot read the kubeconfig ${file}`, { cause: error });
  }
  const cluster = config.getCurrentCluster();
  if (!cluster) throw new Error(`Kubeconfig ${file} has no cluster for the context "${config.currentContext}"`);
  const namespace = config.getContextObject(config.currentContext)?.namespace ?? 'default';
  return { endpoint: endpointOf(config, cluster, config.getCurrentUser()), namespace };
}

/** A client for the current context of a kubeconfig file. Dispose of it to close its connections. */
export function connectFromFile(file: string, options: Partial<HttpClientOptions> = {}): HttpClient {
  return httpClient(readKubeconfig(file).endpoint, options);
}

function endpointOf(config: KubeConfig, cluster: Cluster, user: User | null): Endpoint {
  const ca = pem(cluster.caData, cluster.caFile);
  const cert = pem(user?.certData, user?.certFile);
  const key = pem(user?.keyData, user?.keyFile);
  return {
    server: cluster.server,
    ...(ca && { ca }),
    ...(cert && { cert }),
    ...(key && { key }),
    ...(cluster.tlsServerName && { tlsServerName: cluster.tlsServerName }),
    skipTlsVerify: cluster.skipTLSVerify,
    ...(user && { authorization: authorizationOf(config, user) }),
  };
}

function authorizationOf(config: KubeConfig, user: User): () => Promise<string | undefined> {
  const { token } = user;
  if (!user.exec && !user.authProvider && !user.username) return async () => (token ? `Bearer ${token}` : undefined);
  return async () => {
    // Runs credential plugins, and keeps their answer until it expires.
    const options: RequestOptions = { headers: {} };
    await config.applyToHTTPSOptions(options);
    const { Authorization: header } = options.headers as Record<string, string | undefined>;
    return header ?? (options.auth ? `Basic ${Buffer.from(options.auth).toString('base64')}` : undefined);
  };
}

/** Inline data is base64; loadFromFile has made file names absolute. */
function pem(data: string | undefined, file: string | undefined): string | undefined {
  if (data) return Buffer.from(data, 'base64').toString('utf8');
  return file ? readFileSync(file, 'utf8') : undefined;
}
