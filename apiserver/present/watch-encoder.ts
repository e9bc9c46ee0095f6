/** Watch messages as bytes. What is the same for all clients is made once and kept with the object. */
import type { Cached } from '#apiserver/cache/events.ts';
import type { Call } from '#apiserver/http/call.ts';
import type { Accepted } from '#apiserver/http/negotiate.ts';
import type { JsonObject } from '#apiserver/json/json.ts';
import type { StoredObject } from '#apiserver/json/object.ts';
import { apiVersionOf } from '#apiserver/resources/resource.ts';
import type { WatchMessage } from '#apiserver/verbs/watch.ts';
import type { Clock } from '#lib/std/clock.ts';
import { partialOf } from './partial.ts';
import { includeOf } from './present.ts';
import { tableOf } from './table.ts';

export type WatchEncoder = (message: WatchMessage) => string;

export function watchEncoder(accepted: Pick<Accepted, 'form' | 'metaVersion'>, call: Call, clock: Clock): WatchEncoder {
  const { form, metaVersion } = accepted;
  const include = includeOf(call.query);
  const options = { include, metaVersion };
  let columns = true;
  const table = (object: JsonObject, rev: string) => {
    const result = tableOf([object], { resourceVersion: rev }, call.resource, {
      ...options,
      nowMs: clock.now(),
      columns,
    });
    columns = false;
    return JSON.stringify(result);
  };
  const objectText = ({ entry }: { entry: Cached<StoredObject> }): string => {
    if (form === 'table') return table(entry.object, entry.object.metadata.resourceVersion);
    const make = () => JSON.stringify(form === 'partial' ? partialOf(entry.object, metaVersion) : entry.object);
    return remembered(entry, `json;${form};${metaVersion}`, make);
  };
  return (message) => {
    const object = message.type === 'BOOKMARK' ? bookmarkText(message, accepted, call) : objectText(message);
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

function bookmarkText(
  message: Extract<WatchMessage, { type: 'BOOKMARK' }>,
  { form, metaVersion }: Pick<Accepted, 'form' | 'metaVersion'>,
  call: Call,
): string {
  const { kind } = call.resource;
  const metadata = {
    resourceVersion: String(message.rev),
    ...(message.initialEventsEnd ? { annotations: { 'k8s.io/initial-events-end': 'true' } } : {}),
  };
  if (form === 'partial') return JSON.stringify({ kind: 'PartialObjectMetadata', apiVersion: metaVersion, metadata });
  const object = { kind, apiVersion: apiVersionOf(call.resource), metadata };
  if (form === 'object') return JSON.stringify(object);
  const rows = [{ cells: [], object }];
  return JSON.stringify({ kind: 'Table', apiVersion: metaVersion, metadata, columnDefinitions: [], rows });
}
