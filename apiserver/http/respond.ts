import type { JsonObject } from '#apiserver/json/json.ts';
import { printYaml } from '#apiserver/json/yaml.ts';
import { encodeProtobuf, protobufType } from '#apiserver/protobuf/body.ts';
import { type ApiError, httpStatusOf, isCode } from '#lib/std/errors.ts';
import { gzipBytes, gzipInto } from './compress.ts';
import { type Accepted, type Asking, negotiate, parseAccept } from './negotiate.ts';
import { statusOf } from './status.ts';
import type { HttpResponse } from './transport.ts';

export function sendText(
  response: HttpResponse,
  status: number,
  text: string | Buffer,
  type = 'text/plain; charset=utf-8',
): void {
  response.statusCode = status;
  response.setHeader('content-type', type);
  response.end(text);
}

export function sendObject(
  response: HttpResponse,
  status: number,
  body: JsonObject,
  form: Pick<Accepted, 'type' | 'pretty'> & { readonly gzip: boolean },
): void {
  const text = Buffer.from(print(body, form));
  const contentType = `application/${form.type}`;
  if (!form.gzip || text.length <= gzipBytes) {
    sendText(response, status, text, contentType);
    return;
  }
  response.statusCode = status;
  response.setHeader('content-type', contentType);
  gzipInto(response).end(text);
}

function print(body: JsonObject, { type, pretty }: Pick<Accepted, 'type' | 'pretty'>): string {
  if (type === 'yaml') return printYaml(body);
  return pretty ? JSON.stringify(body, null, 2) : `${JSON.stringify(body)}\n`;
}

/** Sets status and headers; the result is the body, in a form that the client reads if there is one. */
export function setError(response: HttpResponse, error: ApiError, asking: Asking): string | Buffer {
  const { retryAfterSeconds } = error.details;
  if (retryAfterSeconds !== undefined) response.setHeader('retry-after', String(retryAfterSeconds));
  response.statusCode = httpStatusOf[error.code];
  const status = statusOf(error);
  const accepted = acceptedBy(asking);
  response.setHeader('content-type', accepted === protobufType ? protobufType : `application/${accepted.type}`);
  return accepted === protobufType ? encodeProtobuf(status) : print(status, accepted);
}

/** Those who read nothing but protobuf are told so in protobuf; those who read nothing that there is, in JSON. */
function acceptedBy(asking: Asking): Accepted | typeof protobufType {
  try {
    return negotiate(asking);
  } catch (error) {
    if (!isCode(error, 'NotAcceptable')) throw error;
    const readsProtobuf = parseAccept(asking.accept).some(({ type }) => type === protobufType);
    return readsProtobuf ? protobufType : negotiate({ ...asking, accept: undefined });
  }
}

const maxWarningBytes = 4096;

/** Warnings as RFC 7234 headers, without control characters, up to a total that proxies let through. */
export function setWarnings(response: HttpResponse, warnings: readonly string[]): void {
  const values: string[] = [];
  let size = 0;
  for (const warning of warnings) {
    const text = warning.replaceAll(/[^\x20-\x7e]/g, '?').replaceAll(/["\\]/g, '\\$&');
    size += text.length;
    if (size > maxWarningBytes) break;
    values.push(`299 - "${text}"`);
  }
  if (values.length > 0) response.setHeader('warning', values);
}
