/**
 * The calls that the code of each controller makes, read from the code: `client.create(VMPool, …)` and the like. Prints the table in
 * docs/controllers-api.md; a test compares it, and compares what really is called.
 */
import { globSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

const root = join(import.meta.dirname, '..');

/** Method of the client -> the API's word for it, and the subresource. */
const methods: Readonly<Record<string, readonly [string, string]>> = {
  get: ['get', ''],
  list: ['list', ''],
  watch: ['watch', ''],
  create: ['create', ''],
  update: ['update', ''],
  patch: ['patch', ''],
  delete: ['delete', ''],
  updateStatus: ['update', '/status'],
  patchStatus: ['patch', '/status'],
};

/** The runtime calls on behalf of every controller; only what it calls for itself counts as its own. */
const runtimeOwn = ['leader.ts', 'events.ts'];
const everyKind = 'every kind';

/** Who -> kind or kind/subresource -> verbs. */
export type Calls = ReadonlyMap<string, ReadonlyMap<string, ReadonlySet<string>>>;

export function callsInCode(): Calls {
  const calls = new Map<string, Map<string, Set<string>>>();
  const add = (who: string, kind: string, ...verbs: readonly string[]) => {
    const kinds = calls.get(who) ?? new Map<string, Set<string>>();
    calls.set(who, kinds.set(kind, new Set([...(kinds.get(kind) ?? []), ...verbs])));
  };
  for (const file of globSync('controllers/**/*.ts', { cwd: root }).sort()) {
    if (file.endsWith('.test.ts') || file.includes('/testing/')) continue;
    const who = ownerOf(file);
    if (who) readFile(readFileSync(join(root, file), 'utf8'), (kind, ...verbs) => add(who, kind, ...verbs));
  }
  return calls;
}

function ownerOf(file: string): string | undefined {
  const folder = dirname(file).replace(/^controllers\/?/, '');
  if (folder === 'runtime') return runtimeOwn.some((name) => file.endsWith(name)) ? 'every program' : undefined;
  if (folder === 'scheduler') return 'cluster server';
  return folder || 'factory-controllers';
}

function readFile(text: string, add: (kind: string, ...verbs: readonly string[]) => void): void {
  for (const [, method, argument] of text.matchAll(/\bclient\s*\.(\w+)\(\s*([\w{]+)?/g)) {
    const found = Object.hasOwn(methods, method!) ? methods[method!] : undefined;
    if (found) add(`${nameOf(argument ?? '')}${found[1]}`, found[0]);
    else if (method === 'finalize') add('Namespace/finalize', 'update');
    else if (method === 'discover') add('discovery', 'get');
  }
  // Whoever has a cache lists and watches; a controller writes the status of its own kind through the runtime.
  for (const [, kind] of text.matchAll(/(?:\bcache|#follow)\(\s*([A-Z]\w+)/g)) add(kind!, 'list', 'watch');
  for (const [, kind] of text.matchAll(/^ {4}for: ([A-Z]\w+),$/gm)) {
    add(kind!, 'list', 'watch');
    add(`${kind}/status`, 'update');
  }
  if (/new Informer<KubeObject>/.test(text)) add(everyKind, 'list', 'watch');
}

function nameOf(argument: string): string {
  if (!/^[A-Z]/.test(argument)) return everyKind;
  return argument.replace(/Kind$/, '');
}

/** Markdown, in the order of names. */
export function tableOf(calls: Calls): string {
  const rows = [...calls]
    .toSorted()
    .flatMap(([who, kinds]) =>
      [...kinds].toSorted().map(([kind, verbs]) => `| ${who} | ${kind} | ${[...verbs].toSorted().join(', ')} |`),
    );
  return ['| who | kind | calls |', '|---|---|---|', ...rows].join('\n');
}

if (import.meta.main) process.stdout.write(`${tableOf(callsInCode())}\n`);
