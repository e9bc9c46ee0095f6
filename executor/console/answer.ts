/** Requests that are answered over plain HTTP, without a WebSocket. What goes wrong is told as a line of text, for people. */
import { once } from 'node:events';
import { access } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { dirname } from 'node:path';
import { type ExecRequest, readExecRequest } from '#lib/api/exec.ts';
import type { MachineService } from '#lib/api/host-endpoint.ts';
import { messageOf } from '#lib/std/errors.ts';
import { runCommand } from '../agent/run-command.ts';
import { MachineError } from '../hypervisor.ts';
import { printed } from './log.ts';
import { consolePaths } from './paths.ts';
import type { Asked, ConsoleOptions } from './server.ts';

/** Followed logs go on for hours, so there are bounds to how many. */
const maxAnswers = 256;
/** Of a large screen each takes tens of megabytes for a moment. */
const maxScreenshots = 4;
const maxRequestBytes = 1_048_576;

/** Refused for a reason that the user should read. */
export class RefusedError extends Error {
  readonly status: number;

  constructor(status: number, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'RefusedError';
    this.status = status;
  }
}

interface Exchange {
  readonly uid: string;
  readonly query: URLSearchParams;
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  /** Aborts when nobody waits for the answer any more. */
  readonly signal: AbortSignal;
}

type Answer = (options: ConsoleOptions, exchange: Exchange) => Promise<void>;

const answers: Readonly<Partial<Record<MachineService, { readonly method: string; readonly answer: Answer }>>> = {
  log: { method: 'GET', answer: sendLog },
  screenshot: { method: 'GET', answer: sendScreenshot },
  exec: { method: 'POST', answer: runAndSend },
};

/** The result never rejects. */
export function answering(
  options: ConsoleOptions,
): (asked: Asked, request: IncomingMessage, response: ServerResponse, over: AbortSignal) => Promise<void> {
  let underWay = 0;
  return async ({ uid, service, query }, request, response, over) => {
    const gone = new AbortController();
    response.once('close', () => gone.abort());
    underWay += 1;
    try {
      const known = answers[service];
      if (!known || request.method !== known.method) throw new RefusedError(404, 'The host does not serve this');
      if (underWay > maxAnswers) throw new RefusedError(503, 'The host has too many requests under way');
      const signal = AbortSignal.any([gone.signal, over]);
      await known.answer(options, { uid, query, request, response, signal });
    } catch (error) {
      refuse(response, error, (reason) => options.log.info('Cannot answer a request', { uid, service, reason }));
    } finally {
      underWay -= 1;
    }
  };
}

/** What is no refusal is of the host, and not for users. */
function refuse(response: ServerResponse, error: unknown, tell: (reason: string) => void): void {
  const refusal = error instanceof MachineError ? new RefusedError(503, error.message) : error;
  const told = refusal instanceof RefusedError ? refusal : new RefusedError(503, 'The host cannot answer now');
  if (told !== error) tell(messageOf(error));
  if (response.headersSent) response.destroy();
  else response.writeHead(told.status, plainText).end(told.message);
}

const plainText = { 'content-type': 'text/plain; charset=utf-8' } as const;

async function sendLog({ root, clock }: ConsoleOptions, { uid, query, response, signal }: Exchange): Promise<void> {
  const { consoleLog } = consolePaths(root, uid);
  await access(dirname(consoleLog)).catch((cause) => {
    throw new RefusedError(404, 'The machine is not on its host', { cause });
  });
  const options = {
    tailLines: countIn(query, 'tailLines'),
    limitBytes: countIn(query, 'limitBytes'),
    follow: query.get('follow') === 'true',
  };
  response.writeHead(200, plainText).flushHeaders();
  for await (const chunk of printed(consoleLog, { ...options, clock, signal })) {
    if (!response.write(chunk)) await once(response, 'drain', { signal });
  }
  response.end();
}

let screenshots = 0;

async function sendScreenshot({ hypervisor }: ConsoleOptions, { uid, response }: Exchange): Promise<void> {
  if (screenshots >= maxScreenshots) throw new RefusedError(503, 'The host takes other screenshots: try again');
  screenshots += 1;
  try {
    const picture = await hypervisor.screenshot(uid);
    response.writeHead(200, { 'content-type': 'image/png', 'content-length': picture.length }).end(picture);
  } finally {
    screenshots -= 1;
  }
}

async function runAndSend({ hypervisor, clock }: ConsoleOptions, exchange: Exchange): Promise<void> {
  const { uid, request, response, signal } = exchange;
  const asked = await readRequest(request);
  const result = await runCommand({ hypervisor, clock, signal }, uid, asked);
  response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(result));
}

async function readRequest(request: IncomingMessage): Promise<ExecRequest> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > maxRequestBytes) throw new RefusedError(400, 'The command is too long');
    chunks.push(chunk);
  }
  try {
    return readExecRequest(JSON.parse(Buffer.concat(chunks).toString('utf8')));
  } catch (error) {
    throw new RefusedError(400, (error as Error).message, { cause: error });
  }
}

function countIn(query: URLSearchParams, name: string): number | undefined {
  const text = query.get(name);
  if (text === null) return undefined;
  if (!/^\d{1,15}$/.test(text)) throw new RefusedError(400, `${name} must be a whole number`);
  return Number(text);
}
