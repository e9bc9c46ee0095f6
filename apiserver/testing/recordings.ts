/** Recorded requests and answers of a real Kubernetes API server, replayed in order against ours. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import { isObject, type Json, type JsonObject } from '#apiserver/json/json.ts';
import { readContinue, writeContinue } from '#apiserver/selectors/continue.ts';
import type { Reply, Requester } from './http.ts';

export interface Recording {
  readonly label: string;
  readonly request: {
    readonly method: string;
    readonly path: string;
    readonly headers: Readonly<Record<string, string>>;
    readonly body?: Json;
  };
  readonly response: {
    readonly status: number;
    readonly headers: Readonly<Record<string, string>>;
    readonly body: Json;
  };
}

export const recordingsFolder = join(import.meta.dirname, '../testdata/kubernetes');

export function readRecordings(name = 'semantics.json'): Recording[] {
  return JSON.parse(readFileSync(join(recordingsFolder, name), 'utf8')) as Recording[];
}

/** What the real server called things, and what ours calls them: revisions and uids. */
export interface Names {
  readonly map: Map<string, string>;
}

/** The program that made the recording; its name is in managedFields. */
const recordedBy = 'node';

/** Sends one recorded request in our server's names, and learns new names from the answer. */
export async function replay(recording: Recording, request: Requester, names: Names): Promise<Reply> {
  const { method, path, headers, body } = recording.request;
  const reply = await request(translatePath(path, names), {
    method,
    headers: { 'user-agent': recordedBy, ...headers },
    ...(body === undefined || body === null
      ? {}
      : { body: typeof body === 'string' ? body : JSON.stringify(translate(body, names)) }),
  });
  learn(recording.response.body, bodyOf(reply), names);
  return reply;
}

/** A body as JSON: YAML read, lines of a watch as a list, other text as text. */
export function bodyOf(reply: Pick<Reply, 'text'>): Json {
  if (reply.text.startsWith('apiVersion: ')) return parse(reply.text) as Json;
  const lines = /^\{\n/.test(reply.text) ? [reply.text] : reply.text.split('\n').filter((line) => line !== '');
  try {
    const values = lines.map((line) => JSON.parse(line) as Json);
    return values.length === 1 ? values[0]! : values;
  } catch {
    return reply.text;
  }
}

function translate(value: Json, names: Names): Json {
  if (typeof value === 'string') return names.map.get(value) ?? value;
  if (Array.isArray(value)) return value.map((item) => translate(item, names));
  if (!isObject(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([key, child]) => [key, translate(child, names)]));
}

function translatePath(path: string, names: Names): string {
  return path
    .replace(/resourceVersion=(\d+)/, (_, rev: string) => `resourceVersion=${names.map.get(rev) ?? rev}`)
    .replace(/continue=(ey[\w-]+)/, (_, token: string) => {
      const { rev, after } = readContinue(token);
      const ours = names.map.get(String(rev));
      return `continue=${ours ? writeContinue({ rev: BigInt(ours), after }) : token}`;
    });
}

/** Walks over both answers at once and notes what stands in the same place. */
function learn(theirs: Json, ours: Json, names: Names): void {
  if (Array.isArray(theirs) && Array.isArray(ours))
    for (const [index, item] of theirs.entries()) learn(item, ours[index] ?? null, names);
  if (!isObject(theirs) || !isObject(ours)) return;
  for (const [key, value] of Object.entries(theirs)) {
    const other = ours[key];
    if (typeof value === 'string' && typeof other === 'string' && (key === 'resourceVersion' || key === 'uid'))
      names.map.set(value, other);
    else if (other !== undefined) learn(value, other, names);
  }
}

const volatile = new Set(['uid', 'resourceVersion', 'creationTimestamp', 'deletionTimestamp', 'continue']);

/** The answer without what differs from run to run: times, uids, revisions; ages in tables; descriptions; the order of causes. */
export function comparable(status: number, body: Json): JsonObject {
  return { status, body: scrub(body, '') };
}

function scrub(value: Json, key: string): Json {
  if (typeof value === 'string') return key === 'time' ? 'TIME' : value.replace(/^gen-\w{5}$/, 'gen-?????');
  if (Array.isArray(value)) {
    const items = value.map((item) => scrub(item, ''));
    // Entries of managers are in the order of their times.
    if (key === 'causes' || key === 'managedFields') return sorted(items);
    return key === 'cells' ? items.map((cell) => (isAge(cell) ? 'AGE' : cell)) : items;
  }
  if (!isObject(value)) return value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([name]) => !volatile.has(name) && name !== 'message' && name !== 'description')
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, child]) => [name, scrub(child, name)]),
  );
}

/** Causes come in the order of Go's maps, which is none, and the same one may be told twice. */
function sorted(items: readonly Json[]): Json[] {
  return [...new Set(items.map((item) => JSON.stringify(item)))].sort().map((text) => JSON.parse(text) as Json);
}

function isAge(cell: Json): boolean {
  return typeof cell === 'string' && /^\d+[smhdy]/.test(cell);
}

/**
 * What a Status says, in our names: its causes, which the message only repeats in the order of Go's maps, or else its message. Numbers of
 * revisions are left out.
 */
export function wordsOf(body: Json, names: Names): Json {
  if (!isObject(body) || body.kind !== 'Status') return null;
  const causes = isObject(body.details) && Array.isArray(body.details.causes) ? body.details.causes : [];
  const words = causes.length > 0 ? sorted(causes) : [body.message ?? null];
  return words.map((word) => inOurNames(word, names));
}

function inOurNames(word: Json, names: Names): string {
  const text = JSON.stringify(word).replaceAll(/[0-9a-f-]{36}/g, (uid) => names.map.get(uid) ?? uid);
  return text
    .replaceAll(/(current: |record \(|resource version: |ResourceVersion: )\d+/g, '$1N')
    .replaceAll(/\(\d+\)/g, '(N)');
}
