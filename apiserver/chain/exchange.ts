/** One request and its answer on their way through the handler chain. */
import { anonymous, type Caller } from '#apiserver/auth/access.ts';
import type { User } from '#apiserver/auth/user.ts';
import type { RequestInfo } from '#apiserver/http/request-info.ts';
import { setWarnings } from '#apiserver/http/respond.ts';
import type { HttpRequest, HttpResponse } from '#apiserver/http/transport.ts';
import type { JsonObject } from '#apiserver/json/json.ts';
import type { Pipeline } from '#apiserver/pipeline.ts';
import type { Resource } from '#apiserver/resources/resource.ts';

/**
 * A link of the chain: does its part, and `next()` does the rest. What it throws is answered as a Status. One that has nothing to do
 * afterwards hands back the promise of the rest as it is: every request goes through all of them.
 */
export type Step = (exchange: Exchange, next: () => Promise<void>) => Promise<void>;

/** More do not fit into the headers of an answer. */
const maxWarnings = 100;

export class Exchange {
  readonly server: Pipeline;
  readonly request: HttpRequest;
  readonly response: HttpResponse;
  readonly info: RequestInfo;
  /** What the path names; undefined for any other path, and for a kind that is not served. */
  resource: Resource | undefined;
  /** In the Audit-Id header, the log and the audit log. */
  readonly auditId: string;
  /** Nobody until it is known who sends the request. */
  caller: Caller = anonymous;
  /** Told of bodies, for those who write them down. */
  readonly heard: {
    request?: (body: Buffer, type: string | undefined) => void;
    response?: (object: JsonObject) => void;
  } = {};
  readonly #whenBegun: (() => void)[] = [];
  readonly #over = new AbortController();
  readonly #warnings: string[] = [];
  #gone = false;

  constructor(server: Pipeline, request: HttpRequest, response: HttpResponse, info: RequestInfo, auditId: string) {
    this.server = server;
    this.request = request;
    this.response = response;
    this.info = info;
    this.auditId = auditId;
    this.findResource();
    response.on('close', () => {
      this.#gone = true;
      if (!response.writableEnded) this.abort(new Error('The client has closed the connection'));
    });
  }

  /** Looks the resource up. From then on the request goes by it, whatever becomes of its definition meanwhile. */
  findResource(): void {
    const { path } = this.info;
    if (path.type === 'resource') this.resource = this.server.registry.find(path.group, path.version, path.plural);
  }

  /** Whom the request is answered for. */
  get user(): User {
    return this.caller.user;
  }

  /** The answer has been sent, or there is nobody left to send it to. */
  get gone(): boolean {
    return this.#gone;
  }

  /** Aborts when nobody waits for the answer any more: the client has gone, or the deadline has passed. */
  get signal(): AbortSignal {
    return this.#over.signal;
  }

  abort(why: Error): void {
    this.#over.abort(why);
  }

  /** Calls back when a watch has begun: what it held for that is free for others. */
  whenBegun(callback: () => void): void {
    this.#whenBegun.push(callback);
  }

  begun(): void {
    for (const callback of this.#whenBegun) callback();
  }

  /** A Warning header, whatever the answer will be. */
  warn(message: string): void {
    if (this.#warnings.length === maxWarnings) return;
    this.#warnings.push(message);
    if (!this.response.headersSent) setWarnings(this.response, this.#warnings);
  }
}

/** Runs the steps, outermost first. */
export function runChain(steps: readonly Step[], exchange: Exchange): Promise<void> {
  const from = (index: number): Promise<void> => steps[index]?.(exchange, () => from(index + 1)) ?? Promise.resolve();
  return from(0);
}
