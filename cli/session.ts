/** A connection to the API server for the verbs: raw requests, since a command line shows what the server says. */
import { existsSync } from 'node:fs';
import { homedir } from 'node:os';
import { delimiter, join } from 'node:path';
import type { Endpoint } from '#lib/client/endpoint.ts';
import { errorOfStatus } from '#lib/client/http-errors.ts';
import { defaultTransportOptions, type HttpRequest, httpTransport } from '#lib/client/http-transport.ts';
import { readKubeconfig } from '#lib/client/kubeconfig.ts';
import { ApiError, messageOf } from '#lib/std/errors.ts';
import { UsageError } from '#lib/std/main.ts';
import { defaultDir } from './local/default-dir.ts';
import { localPaths } from './local/settings.ts';

export type RequestOptions = Pick<HttpRequest, 'accept' | 'contentType' | 'body' | 'signal'>;

export interface StreamEvent<T> {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK' | 'ERROR';
  readonly object: T;
}

export interface Session {
  readonly endpoint: Endpoint;
  /** From --namespace, else the context, else `default`. */
  readonly namespace: string;
  /** Rejects with ApiError carrying the server's message. `path` may have a query. */
  request<T>(method: HttpRequest['method'], path: string, options?: RequestOptions): Promise<T>;
  /** Events until the server or the signal ends it. */
  watch<T>(path: string, options?: RequestOptions): AsyncIterable<StreamEvent<T>>;
  /** A body of so many bytes, as it is. Never sent twice. */
  send<T>(path: string, body: AsyncIterable<Uint8Array>, length: number, signal: AbortSignal): Promise<T>;
  /** An answer that is no object, as it comes. */
  bytes(path: string): AsyncIterable<Uint8Array>;
  /** An answer that takes its time. Never asked for twice. */
  slowly<T>(path: string, body: object, withinMs: number): Promise<T>;
}

export interface ConnectFlags {
  readonly kubeconfig?: string | undefined;
  readonly context?: string | undefined;
  readonly namespace?: string | undefined;
}

/** The file of --kubeconfig, $KUBECONFIG, ~/.kube/config, or that of a running local cluster, in this order. */
function kubeconfigFile(flags: ConnectFlags): string {
  const candidates = [join(homedir(), '.kube/config'), localPaths(defaultDir).kubeconfig];
  const named = flags.kubeconfig ?? process.env.KUBECONFIG?.split(delimiter).find((file) => file !== '');
  const file = named ?? candidates.find((candidate) => existsSync(candidate));
  if (file) return file;
  throw new UsageError(
    'No cluster to talk to: set KUBECONFIG, give --kubeconfig, or start one with "factoryctl local up".',
  );
}

export function connect(flags: ConnectFlags): Session {
  const { endpoint, namespace } = readContext(kubeconfigFile(flags), flags.context);
  const transport = httpTransport(endpoint, { ...defaultTransportOptions, userAgent: 'factoryctl' });
  return {
    endpoint,
    namespace: flags.namespace ?? namespace,
    async request<T>(method: HttpRequest['method'], path: string, options: RequestOptions = {}) {
      try {
        return (await transport.call({ method, path, ...options })) as T;
      } catch (error) {
        throw explained(error, endpoint.server);
      }
    },
    async *watch<T>(path: string, options: RequestOptions = {}) {
      try {
        for await (const line of transport.lines({ method: 'GET', path, ...options })) {
          const event = line as StreamEvent<T>;
          if (event.type === 'ERROR') throw errorOfStatus(event.object as object);
          yield event;
        }
      } catch (error) {
        throw explained(error, endpoint.server);
      }
    },
    async slowly<T>(path: string, body: object, withinMs: number) {
      try {
        const chunks = transport.bytes({ method: 'POST', path, body }, { beginsWithinMs: withinMs });
        return JSON.parse(Buffer.concat(await Array.fromAsync(chunks)).toString('utf8')) as T;
      } catch (error) {
        throw explained(error, endpoint.server);
      }
    },
    async send<T>(path: string, body: AsyncIterable<Uint8Array>, length: number, signal: AbortSignal) {
      try {
        const contentType = 'application/octet-stream';
        return (await transport.send({ method: 'PUT', path, contentType, signal }, body, length)) as T;
      } catch (error) {
        throw explained(error, endpoint.server);
      }
    },
    async *bytes(path) {
      try {
        yield* transport.bytes({ method: 'GET', path, accept: '*/*' });
      } catch (error) {
        throw explained(error, endpoint.server);
      }
    },
  };
}

function readContext(file: string, context: string | undefined) {
  try {
    return readKubeconfig(file, context);
  } catch (error) {
    throw new UsageError(messageOf(error));
  }
}

/** No answer means that the server is not there: say which, and where to look. */
function explained(error: unknown, server: string): unknown {
  if (!(error instanceof ApiError) || error.code !== 'ServiceUnavailable' || error.cause === undefined) return error;
  return new ApiError(
    'ServiceUnavailable',
    `Cannot reach the API server ${server}: ${messageOf(error.cause)}. Is it running? See "factoryctl local status".`,
    { cause: error.cause },
  );
}
