/** meta.k8s.io/v1 Table: what kubectl get prints. Cells are rendered here, so that every client shows the same. */
import type { Json, JsonObject } from '#apiserver/json/json.ts';
import type { Column, Resource } from '#apiserver/resources/resource.ts';
import { formatAge } from '#lib/api/duration.ts';
import { compileJsonPath, type JsonPath } from './jsonpath.ts';
import { partialOf } from './partial.ts';

/** How much of each object goes with its row. */
export type Include = 'None' | 'Metadata' | 'Object';

interface Renderer {
  readonly definitions: readonly JsonObject[];
  readonly cells: (object: JsonObject, nowMs: number) => Json[];
}

const nameColumn: JsonObject = {
  name: 'Name',
  type: 'string',
  format: 'name',
  description: 'Name of the object: unique among those of its kind in its namespace.',
  priority: 0,
};

const renderers = new WeakMap<readonly Column[], Renderer>();

function rendererOf(columns: readonly Column[]): Renderer {
  const known = renderers.get(columns);
  if (known) return known;
  const paths = columns.map((column) => compileJsonPath(column.jsonPath));
  const fresh: Renderer = {
    definitions: [nameColumn, ...columns.map(definitionOf)],
    cells: (object, nowMs) => [
      (object.metadata as JsonObject).name ?? '',
      ...columns.map((column, index) => cell(object, column, paths[index]!, nowMs)),
    ],
  };
  renderers.set(columns, fresh);
  return fresh;
}

function definitionOf({ name, type, format = '', description = '', jsonPath, priority = 0 }: Column): JsonObject {
  const text = description || `Custom resource definition column (in JSONPath format): ${jsonPath}`;
  return { name, type, format, description: text, priority };
}

/** Only the first match counts, and nothing is null, as in apiextensions' tableconvertor. */
function cell(object: JsonObject, column: Column, path: JsonPath, nowMs: number): Json {
  const value = path(object)[0];
  if (column.count) return typeof value === 'object' && value !== null ? Object.keys(value).length : 0;
  if (value === undefined || value === null) return null;
  switch (column.type) {
    case 'date':
      return age(value, nowMs);
    case 'integer':
      return typeof value === 'number' ? Math.trunc(value) : null;
    case 'number':
      return typeof value === 'number' ? value : null;
    case 'boolean':
      return typeof value === 'boolean' ? value : null;
    default:
      return typeof value === 'object' ? JSON.stringify(value) : String(value);
  }
}

function age(value: Json, nowMs: number): Json {
  const at = Date.parse(String(value));
  return Number.isNaN(at) ? '<invalid>' : formatAge(nowMs - at);
}

/** A table of these objects. In a watch only the first one names its columns. */
export function tableOf(
  objects: readonly JsonObject[],
  metadata: Json,
  resource: Pick<Resource, 'columns'>,
  options: { readonly include: Include; readonly nowMs: number; readonly columns?: boolean },
): JsonObject {
  const renderer = rendererOf(resource.columns);
  return {
    kind: 'Table',
    apiVersion: 'meta.k8s.io/v1',
    metadata,
    columnDefinitions: options.columns === false ? [] : [...renderer.definitions],
    rows: objects.map((object) => ({
      cells: renderer.cells(object, options.nowMs),
      ...rowObject(object, options.include),
    })),
  };
}

function rowObject(object: JsonObject, include: Include): { object: JsonObject | null } {
  if (include === 'None') return { object: null };
  return { object: include === 'Object' ? object : partialOf(object) };
}

/** The table of a Scale. */
export const scaleColumns: readonly Column[] = [
  { name: 'Desired', type: 'integer', jsonPath: '.spec.replicas' },
  { name: 'Available', type: 'integer', jsonPath: '.status.replicas' },
  { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp' },
];
