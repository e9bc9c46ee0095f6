import type { StoredObject } from '#apiserver/json/object.ts';
import type { Resource } from '#apiserver/resources/resource.ts';
import { parseFieldSelector } from './fields.ts';
import { parseLabelSelector } from './labels.ts';

/** What a list or watch is restricted to. */
export interface Selection {
  readonly matches: (object: StoredObject) => boolean;
  /** False if every object matches, so that counts of the store are counts of the answer. */
  readonly selective: boolean;
}

export function selectionOf(query: URLSearchParams, resource: Resource): Selection {
  const labelText = query.get('labelSelector');
  const fieldText = query.get('fieldSelector');
  const labels = parseLabelSelector(labelText);
  const fields = parseFieldSelector(fieldText, resource);
  return {
    selective: Boolean(labelText || fieldText),
    matches: (object) => labels(object.metadata.labels) && fields.matches(object),
  };
}
