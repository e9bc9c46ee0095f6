/** One request on its way through the server. */
import type { User } from '#apiserver/auth/user.ts';
import type { JsonObject } from '#apiserver/json/json.ts';
import type { Resource } from '#apiserver/resources/resource.ts';
import type { ResourcePath } from './request-info.ts';

export interface Call {
  readonly method: string;
  readonly path: ResourcePath;
  readonly resource: Resource;
  readonly query: URLSearchParams;
  readonly user: User;
  readonly headers: {
    readonly accept: string | undefined;
    readonly contentType: string | undefined;
    readonly userAgent: string | undefined;
  };
  /** Aborts when the client has gone or the server stops. */
  readonly signal: AbortSignal;
  /** Reads the body, once. */
  body(): Promise<Buffer>;
  /** Forbidden unless the caller may do this too: another verb on what the path names. */
  require(verb: string): void;
  /** Tells the client something by a Warning header, beside the answer. */
  warn(message: string): void;
}

/** An answer that fits in memory. Watches and consoles write for themselves. */
export interface Answer {
  readonly status: number;
  readonly body: JsonObject;
}
