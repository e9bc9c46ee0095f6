import type { JsonObject } from '#apiserver/json/json.ts';
import { printYaml } from '#apiserver/json/yaml.ts';
import { type ApiError, httpStatusOf } from '#lib/std/errors.ts';
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
  type: 'json' | 'yaml' = 'json',
): void {
  if (type === 'yaml') sendText(response, status, printYaml(body), 'application/yaml');
  else sendText(response, status, `${JSON.stringify(body)}\n`, 'application/json');
}

/** Sets status and headers; the result is the body. */
export function setError(response: HttpResponse, error: ApiError): string {
  const { retryAfterSeconds } = error.details;
  if (retryAfterSeconds !== undefined) response.setHeader('retry-after', String(retryAfterSeconds));
  response.statusCode = httpStatusOf[error.code];
  response.setHeader('content-type', 'application/json');
  return `${JSON.stringify(statusOf(error))}\n`;
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
