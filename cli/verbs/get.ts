import { stringify } from 'yaml';
import { UsageError } from '#lib/std/main.ts';
import type { Output } from '../output.ts';
import { type ApiResource, discover, displayName, pathOf, resolveTargets, resolveWord } from '../resources.ts';
import { connect, type Session } from '../session.ts';
import { formatTable } from '../table.ts';
import { connectionFlags, connectionHelp, exit, parseFlags, type Verb } from '../verb.ts';

interface Table {
  readonly columnDefinitions?: readonly { readonly name: string; readonly priority?: number }[];
  readonly rows?: readonly {
    readonly cells: readonly unknown[];
    readonly object: { readonly metadata: { readonly name: string; readonly namespace?: string } };
  }[];
  readonly metadata?: { readonly resourceVersion?: string };
}

const asTable = 'application/json;as=Table;v=v1;g=meta.k8s.io,application/json';

export const get: Verb = {
  name: 'get',
  summary: 'Show objects, one per line',
  help: `Usage: factoryctl get KIND[,KIND…] [NAME…] [flags]
       factoryctl get KIND/NAME…

Examples:
  factoryctl get cf,vmp,vm -n studio-a
  factoryctl get vm -l computefactory.io/factory=render -w
  factoryctl get cf/render -o yaml

Flags:
  -o, --output FORMAT    wide, json, yaml or name
  -l, --selector LABELS  Only objects with these labels
  -A, --all-namespaces   Of every namespace
  -w, --watch            Then show every change until interrupted
${connectionHelp}`,
  async run(args, out) {
    const { values, positionals } = parseFlags('get', args, {
      ...connectionFlags,
      output: { type: 'string', short: 'o' },
      selector: { type: 'string', short: 'l' },
      'all-namespaces': { type: 'boolean', short: 'A' },
      watch: { type: 'boolean', short: 'w' },
    });
    const format = values.output;
    if (format !== undefined && !['wide', 'json', 'yaml', 'name'].includes(format)) {
      throw new UsageError(`--output takes wide, json, yaml or name, not "${format}".`);
    }
    if (values.watch && format !== undefined && format !== 'wide')
      throw new UsageError(`--watch shows one line per change: it does not go with --output ${format}.`);
    const session = connect(values);
    const requests = await requestsOf(session, positionals, values['all-namespaces'] ? undefined : session.namespace);
    if (values.watch && requests.length !== 1) throw new UsageError('--watch takes one kind at a time.');
    const query = values.selector ? `labelSelector=${encodeURIComponent(values.selector)}` : '';
    if (format === 'json' || format === 'yaml' || format === 'name')
      return await printObjects(session, requests, query, format, out);
    let printed = false;
    for (const [resource, ofKind] of Map.groupBy(requests, (request) => request.resource)) {
      const table = await tableOf(session, ofKind, query);
      if (printed && table.rows?.length) out.line('');
      printed ||= (table.rows?.length ?? 0) > 0;
      const options: RowOptions = {
        wide: format === 'wide',
        namespaces: values['all-namespaces'] === true && resource.namespaced,
        prefix: requests.length > ofKind.length ? resource : undefined,
      };
      printRows(table, options, out);
      if (values.watch) await watchRows(session, ofKind[0]!, query, table, options, out);
    }
    return exit.ok;
  },
};

interface Request {
  readonly resource: ApiResource;
  readonly path: string;
  readonly name?: string;
}

async function requestsOf(
  session: Session,
  words: readonly string[],
  namespace: string | undefined,
): Promise<readonly Request[]> {
  if (words.length === 0)
    throw new UsageError('Name a kind, for example: factoryctl get cf. See "factoryctl get --help".');
  const resources = await discover(session);
  const first = words[0]!;
  if (first.includes('/') || words.length > 1) {
    return resolveTargets(resources, words, 'get').map(({ resource, name }) => ({
      resource,
      name,
      path: pathOf(resource, namespace ?? session.namespace, name),
    }));
  }
  return first
    .split(',')
    .flatMap((word) =>
      resolveWord(resources, word).map((resource) => ({ resource, path: pathOf(resource, namespace) })),
    );
}

function withQuery(path: string, ...parts: readonly string[]): string {
  const query = parts.filter((part) => part !== '').join('&');
  return query === '' ? path : `${path}?${query}`;
}

/** Objects of one kind that were asked for by name come one by one, and are shown in one table. */
async function tableOf(session: Session, requests: readonly Request[], query: string): Promise<Table> {
  const tables: Table[] = [];
  for (const { path } of requests)
    tables.push(await session.request<Table>('GET', withQuery(path, query), { accept: asTable }));
  return { ...tables[0]!, rows: tables.flatMap(({ rows }) => rows ?? []) };
}

interface RowOptions {
  readonly wide: boolean;
  readonly namespaces: boolean;
  readonly prefix?: ApiResource | undefined;
}

function cellsOf(table: Table, options: RowOptions): { header: string[]; rows: string[][] } {
  const columns = (table.columnDefinitions ?? [])
    .map((column, index) => ({ ...column, index }))
    .filter(({ priority }) => options.wide || !priority);
  const header = [...(options.namespaces ? ['NAMESPACE'] : []), ...columns.map(({ name }) => name.toUpperCase())];
  const rows = (table.rows ?? []).map(({ cells, object }) => {
    const shown = columns.map(({ index }) => {
      const value = cells[index];
      if (value === null || value === undefined || value === '') return '';
      const text = typeof value === 'object' ? JSON.stringify(value) : String(value);
      return index === 0 && options.prefix ? displayName(options.prefix, text) : text;
    });
    return [...(options.namespaces ? [object.metadata.namespace ?? ''] : []), ...shown];
  });
  return { header, rows };
}

function printRows(table: Table, options: RowOptions, out: Output): void {
  const { header, rows } = cellsOf(table, options);
  if (rows.length === 0) out.error(`No ${options.prefix?.plural ?? 'objects'} found.`);
  else for (const line of formatTable(header, rows)) out.line(line);
}

async function watchRows(
  session: Session,
  request: Request,
  query: string,
  table: Table,
  options: RowOptions,
  out: Output,
): Promise<void> {
  const path = request.name === undefined ? request.path : request.path.slice(0, request.path.lastIndexOf('/'));
  const field =
    request.name === undefined ? '' : `fieldSelector=${encodeURIComponent(`metadata.name=${request.name}`)}`;
  const since = `resourceVersion=${table.metadata?.resourceVersion ?? ''}`;
  let columns = table.columnDefinitions;
  for await (const event of session.watch<Table>(withQuery(path, 'watch=true', since, query, field), {
    accept: asTable,
  })) {
    columns = event.object.columnDefinitions?.length ? event.object.columnDefinitions : columns;
    if (!event.object.rows) continue; // a bookmark
    const { header, rows } = cellsOf({ ...event.object, ...(columns ? { columnDefinitions: columns } : {}) }, options);
    const widths = cellsOf(table, options).rows.concat([header]);
    for (const line of formatTable(header, [...widths, ...rows]).slice(1 + widths.length)) out.line(line);
  }
}

async function printObjects(
  session: Session,
  requests: readonly Request[],
  query: string,
  format: 'json' | 'yaml' | 'name',
  out: Output,
): Promise<number> {
  const objects: object[] = [];
  let single = false;
  for (const request of requests) {
    const answer = await session.request<{ items?: { kind?: string }[] }>(
      'GET',
      withQuery(request.path, request.name ? '' : query),
    );
    single = request.name !== undefined && requests.length === 1;
    const { group, version, kind } = request.resource;
    const type = { apiVersion: group === '' ? version : `${group}/${version}`, kind };
    objects.push(
      ...(request.name === undefined ? (answer.items ?? []).map((item) => ({ ...type, ...item })) : [answer]),
    );
    if (format === 'name')
      for (const item of objects.splice(0))
        out.line(displayName(request.resource, (item as { metadata: { name: string } }).metadata.name));
  }
  if (format === 'name') return exit.ok;
  const document = single ? objects[0] : { apiVersion: 'v1', kind: 'List', items: objects };
  out.line(
    format === 'json'
      ? JSON.stringify(document, null, 4)
      : stringify(document, { lineWidth: 0, aliasDuplicateObjects: false }).trimEnd(),
  );
  return exit.ok;
}
