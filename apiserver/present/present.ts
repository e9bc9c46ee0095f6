/** The form in which an answer is sent: as it is, as a Table, or as metadata only. */
import type { Call } from '#apiserver/http/call.ts';
import type { Accepted } from '#apiserver/http/negotiate.ts';
import { invalidOption } from '#apiserver/http/status.ts';
import type { JsonObject } from '#apiserver/json/json.ts';
import { notSupported } from '#apiserver/schema/causes.ts';
import { partialListOf, partialOf } from './partial.ts';
import { type Include, scaleColumns, tableOf } from './table.ts';

/** Status answers and what else is no object of the resource stay as they are. */
export function present(
  body: JsonObject,
  { form, metaVersion }: Pick<Accepted, 'form' | 'metaVersion'>,
  call: Call,
  nowMs: number,
): JsonObject {
  if (form === 'object' || body.kind === 'Status') return body;
  const items = body.items;
  if (form === 'partial') return Array.isArray(items) ? partialListOf(body, metaVersion) : partialOf(body, metaVersion);
  const objects = Array.isArray(items) ? (items as JsonObject[]) : [body];
  const metadata = Array.isArray(items) ? body.metadata : { resourceVersion: versionOf(body) };
  const resource = body.kind === 'Scale' ? { columns: scaleColumns } : call.resource;
  return tableOf(objects, metadata ?? {}, resource, { include: includeOf(call.query), nowMs, metaVersion });
}

export function includeOf(query: URLSearchParams): Include {
  const text = query.get('includeObject') || 'Metadata';
  if (text === 'None' || text === 'Metadata' || text === 'Object') return text;
  throw invalidOption('TableOptions', notSupported('includeObject', text, ['None', 'Metadata', 'Object']));
}

function versionOf(object: JsonObject): string {
  return String((object.metadata as JsonObject).resourceVersion ?? '');
}
