/** meta.k8s.io/v1 Table: what kubectl get prints. Cells are rendered here, so that every client shows the same. */

import type { MetaVersion } from '#apiserver/http/negotiate.ts';
import type { Json, JsonObject } from '#apiserver/json/json.ts';
import type { Column, DrawnColumn, Resource } from '#apiserver/resources/resource.ts';
import { formatAge } from '#lib/api/duration.ts';
import { compileJsonPath } from './jsonpath.ts';
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

type AnyColumn = Column | DrawnColumn;

const renderers = new WeakMap<readonly AnyColumn[], Renderer>();

function rendererOf(columns: readonly AnyColumn[]): Renderer {
  const known = renderers.get(columns);
  if (known) return known;
  const draws = columns.map(drawOf);
  const named = columns.some(({ name }) => name === nameColumn.name);
  const name = (object: JsonObject) => (object.metadata as JsonObject).name ?? '';
  const fresh: Renderer = {
    definitions: [...(named ? [] : [nameColumn]), ...columns.map(definitionOf)],
    cells: (object, nowMs) => [...(named ? [] : [name(object)]), ...draws.map((draw) => draw(object, nowMs))],
  };
  renderers.set(columns, fresh);
  return fresh;
}

function definitionOf(column: AnyColumn): JsonObject {
  const { name, type, format = '', description = '', priority = 0 } = column;
  const path = 'jsonPath' in column ? `Custom resource definition column (in JSONPath format): ${column.jsonPath}` : '';
  return { name, type, format, description: description || path, priority };
}

function drawOf(column: AnyColumn): DrawnColumn['draw'] {
  if ('draw' in column) return column.draw;
  const path = compileJsonPath(column.jsonPath);
  return (object, nowMs) => cell(path(object)[0], column.type, nowMs);
}

/** Only the first match counts, and nothing is null, as in apiextensions' tableconvertor. */
function cell(value: Json | undefined, type: string, nowMs: number): Json {
  if (value === undefined || value === null) return null;
  switch (type) {
    case 'date':
      return ageOf(value, nowMs);
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

/** How long ago, as kubectl prints it. */
export function ageOf(value: Json, nowMs: number): string {
  const at = Date.parse(String(value));
  return Number.isNaN(at) ? '<invalid>' : formatAge(nowMs - at);
}

export interface TableOptions {
  readonly include: Include;
  readonly nowMs: number;
  /** `meta.k8s.io/v1`, or v1beta1 for those who ask for it. */
  readonly metaVersion: MetaVersion;
  readonly columns?: boolean;
}

/** A table of these objects. In a watch only the first one names its columns. */
export function tableOf(
  objects: readonly JsonObject[],
  metadata: Json,
  resource: Pick<Resource, 'columns'>,
  options: TableOptions,
): JsonObject {
  const renderer = rendererOf(resource.columns);
  return {
    kind: 'Table',
    apiVersion: options.metaVersion,
    metadata,
    columnDefinitions: options.columns === false ? [] : [...renderer.definitions],
    rows: objects.map((object) => ({
      cells: renderer.cells(object, options.nowMs),
      object: rowObject(object, options),
    })),
  };
}

function rowObject(object: JsonObject, { include, metaVersion }: TableOptions): JsonObject | null {
  if (include === 'None') return null;
  return include === 'Object' ? object : partialOf(object, metaVersion);
}

/** The table of a Scale. */
export const scaleColumns: readonly Column[] = [
  { name: 'Desired', type: 'integer', jsonPath: '.spec.replicas' },
  { name: 'Available', type: 'integer', jsonPath: '.status.replicas' },
  { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp' },
];
