/** Watch messages as bytes. What is the same for all clients is made once and kept with the object. */
import type { Cached } from '#apiserver/cache/events.ts';
import type { Call } from '#apiserver/http/call.ts';
import type { Form } from '#apiserver/http/negotiate.ts';
import type { JsonObject } from '#apiserver/json/json.ts';
import type { StoredObject } from '#apiserver/json/object.ts';
import { apiVersionOf } from '#apiserver/resources/resource.ts';
import type { WatchMessage } from '#apiserver/verbs/watch.ts';
import type { Clock } from '#lib/std/clock.ts';
import { partialOf } from './partial.ts';
import { includeOf } from './present.ts';
import { tableOf } from './table.ts';

export type WatchEncoder = (message: WatchMessage) => string;

export function watchEncoder(form: Form, call: Call, clock: Clock): WatchEncoder {
  const include = includeOf(call.query);
  let columns = true;
  const table = (object: JsonObject, rev: string) => {
    const result = tableOf([object], { resourceVersion: rev }, call.resource, { include, nowMs: clock.now(), columns });
    columns = false;
    return JSON.stringify(result);
  };
  const objectText = ({ entry }: { entry: Cached<StoredObject> }): string => {
    if (form === 'table') return table(entry.object, entry.object.metadata.resourceVersion);
    const make = () => JSON.stringify(form === 'partial' ? partialOf(entry.object) : entry.object);
    return remembered(entry, `json;${form}`, make);
  };
  return (message) => {
    const object = message.type === 'BOOKMARK' ? bookmarkText(message, form, call) : objectText(message);
    return `{"type":"${message.type}","object":${object}}\n`;
  };
}

function remembered(entry: Cached<StoredObject>, key: string, make: () => string): string {
  const known = entry.memo.get(key);
  if (typeof known === 'string') return known;
  const text = make();
  entry.memo.set(key, text);
  return text;
}

function bookmarkText(message: Extract<WatchMessage, { type: 'BOOKMARK' }>, form: Form, call: Call): string {
  const { kind } = call.resource;
  const metadata = {
    resourceVersion: String(message.rev),
    ...(message.initialEventsEnd ? { annotations: { 'k8s.io/initial-events-end': 'true' } } : {}),
  };
  if (form === 'partial')
    return JSON.stringify({ kind: 'PartialObjectMetadata', apiVersion: 'meta.k8s.io/v1', metadata });
  const object = { kind, apiVersion: apiVersionOf(call.resource), metadata };
  if (form === 'object') return JSON.stringify(object);
  const rows = [{ cells: [], object }];
  return JSON.stringify({ kind: 'Table', apiVersion: 'meta.k8s.io/v1', metadata, columnDefinitions: [], rows });
}
