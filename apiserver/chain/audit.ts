/** What is asked and answered is written down, stage by stage, as the policy says. */
import { lineOf, type Outcome, type Said } from '#apiserver/audit/event.ts';
import { decide, type Stage } from '#apiserver/audit/policy.ts';
import { mediaType } from '#apiserver/http/negotiate.ts';
import { toApiError } from '#apiserver/http/status.ts';
import type { Json } from '#apiserver/json/json.ts';
import { ApiError, httpStatusOf } from '#lib/std/errors.ts';
import type { Exchange, Step } from './exchange.ts';

/** Before it is known who asks: only that it is not known is worth a line. */
export const auditStrangers: Step = async (exchange, next) => {
  try {
    await next();
  } catch (error) {
    if (error instanceof ApiError && error.code === 'Unauthorized')
      recorder(exchange)?.('ResponseStarted', outcomeOf(error));
    throw error;
  }
};

/** From here on it is known who asks, and for whom. */
export const audit: Step = (exchange, next) => {
  const record = recorder(exchange);
  return record ? writeDown(record, exchange, next) : next();
};

async function writeDown(record: Recorder, exchange: Exchange, next: () => Promise<void>): Promise<void> {
  record('RequestReceived');
  exchange.whenBegun(() => record('ResponseStarted', { code: 200 }));
  try {
    await next();
  } catch (error) {
    record(error instanceof ApiError ? 'ResponseComplete' : 'Panic', outcomeOf(error));
    throw error;
  }
  record('ResponseComplete', { code: exchange.response.statusCode });
}

type Recorder = (stage: Stage, outcome?: Outcome) => void;

/** undefined if nothing is to be written of this request. */
function recorder(exchange: Exchange): Recorder | undefined {
  const { server, info, user } = exchange;
  if (!server.audit) return undefined;
  const { file, policy } = server.audit;
  const { level, omits } = decide(policy, info, user);
  if (level === 'None') return undefined;
  const said: Said = { level, receivedMs: server.context.clock.now() };
  listen(exchange, said);
  return (stage, outcome) => {
    if (omits(stage)) return;
    server.metrics.auditEvents.add();
    file.append(lineOf(exchange, stage, said, outcome));
  };
}

function listen({ heard }: Exchange, said: Said): void {
  if (said.level === 'Metadata') return;
  heard.request = (body, type) => {
    said.requestObject = read(body, type);
  };
  if (said.level === 'RequestResponse')
    heard.response = (object) => {
      said.responseObject = object;
    };
}

/** As it was sent: what could not be read is kept as text, for then it is the point. */
function read(body: Buffer, type: string | undefined): Json {
  // Protobuf is told by its size: nobody could read it here.
  if (!/^$|json$|yaml$/.test(mediaType(type))) return `${body.length} bytes`;
  const text = body.toString('utf8');
  try {
    return JSON.parse(text) as Json;
  } catch {
    return text;
  }
}

function outcomeOf(error: unknown): Outcome {
  const { code, message } = toApiError(error);
  return { code: httpStatusOf[code], reason: code, message };
}
