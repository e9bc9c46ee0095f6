/** RFC 6902, with Kubernetes' limits and messages. */
import { badRequest } from '#apiserver/http/status.ts';
import { at, copyJson, isObject, type Json } from '#apiserver/json/json.ts';
import { refuseDangerousName } from '#apiserver/json/strict.ts';
import { ApiError } from '#lib/std/errors.ts';
import { sameJson } from '#lib/std/same-json.ts';

interface Operation {
  readonly op: string;
  readonly path: readonly string[];
  readonly from?: readonly string[];
  readonly value: Json;
}

const maxOperations = 10_000;
/** `copy` can double a document with every operation. */
const maxCopiedBytes = 3 * 1024 * 1024;
/** Whoever puts an item in front of a list moves all the others. */
const maxMoved = 10_000_000;

/** What a patch may still cost. */
interface Budget {
  copiedBytes: number;
  moved: number;
}

/** The patched document. BadRequest for a patch that is none, Invalid for one that does not fit the document. */
export function jsonPatch(document: Json, patch: Json): Json {
  if (!Array.isArray(patch)) throw badRequest('error decoding patch: it is not a list of operations');
  if (patch.length > maxOperations)
    throw new ApiError(
      'RequestEntityTooLarge',
      `The allowed maximum operations in a JSON patch is ${maxOperations}, got ${patch.length}`,
    );
  let result = copyJson(document);
  const budget: Budget = { copiedBytes: maxCopiedBytes, moved: maxMoved };
  for (const operation of patch) result = applyOperation(result, readOperation(operation), budget);
  return result;
}

function doesNotFit(): ApiError {
  return new ApiError('Invalid', 'the server rejected our request due to an error in our request', {
    details: { name: '' },
  });
}

const known = new Set(['add', 'remove', 'replace', 'move', 'copy', 'test']);

function readOperation(value: Json): Operation {
  if (!isObject(value)) throw badRequest('error decoding patch: an operation is not an object');
  const op = at(value, 'op');
  const path = at(value, 'path');
  if (typeof op !== 'string' || !known.has(op))
    throw badRequest(`invalid operation ${JSON.stringify(value)}: unsupported operation`);
  if (typeof path !== 'string') throw badRequest(`invalid operation ${JSON.stringify(value)}: it needs a path`);
  const from = at(value, 'from');
  if ((op === 'move' || op === 'copy') && typeof from !== 'string')
    throw badRequest(`invalid operation ${JSON.stringify(value)}: it needs from`);
  return {
    op,
    path: pointer(path),
    value: at(value, 'value') ?? null,
    ...(typeof from === 'string' ? { from: pointer(from) } : {}),
  };
}

/** Longer than any path into a document that may nest 64 deep. */
const maxPointer = 64 * 1024;

function pointer(text: string): string[] {
  if (text === '') return [];
  if (text.length > maxPointer)
    throw badRequest(`error decoding patch: a path is longer than ${maxPointer} characters`);
  if (!text.startsWith('/')) throw badRequest(`error decoding patch: the path "${text}" does not start with a slash`);
  const names = text
    .slice(1)
    .split('/')
    .map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'));
  for (const name of names) refuseDangerousName(name);
  return names;
}

function applyOperation(document: Json, operation: Operation, budget: Budget): Json {
  const { op, path, value } = operation;
  switch (op) {
    case 'add':
      return put(document, path, copyJson(value), 'insert', budget);
    case 'replace':
      return put(document, path, copyJson(value), 'replace', budget);
    case 'remove':
      return removeAt(document, path, budget);
    case 'test':
      if (!sameJson(find(document, path), value)) throw doesNotFit();
      return document;
    case 'move': {
      const moved = get(document, operation.from!);
      return put(removeAt(document, operation.from!, budget), path, moved, 'insert', budget);
    }
    default: {
      const copied = get(document, operation.from!);
      budget.copiedBytes -= weightOf(copied);
      if (budget.copiedBytes < 0)
        throw new ApiError('RequestEntityTooLarge', `the copy operations of a patch may copy ${maxCopiedBytes} bytes`);
      return put(document, path, copyJson(copied), 'insert', budget);
    }
  }
}

function find(document: Json, path: readonly string[]): Json | undefined {
  let here: Json | undefined = document;
  for (const name of path) {
    if (Array.isArray(here)) here = here[indexOf(name, here.length - 1)];
    else here = isObject(here) ? at(here, name) : undefined;
    if (here === undefined) return undefined;
  }
  return here;
}

function get(document: Json, path: readonly string[]): Json {
  const value = find(document, path);
  if (value === undefined) throw doesNotFit();
  return value;
}

function indexOf(name: string, max: number): number {
  if (!/^(0|[1-9]\d*)$/.test(name) || Number(name) > max) throw doesNotFit();
  return Number(name);
}

/** Changes the document in place: it is the copy that jsonPatch made. */
function put(document: Json, path: readonly string[], value: Json, mode: 'insert' | 'replace', budget: Budget): Json {
  const last = path.at(-1);
  if (last === undefined) return value;
  const parent = get(document, path.slice(0, -1));
  if (Array.isArray(parent)) {
    const index =
      mode === 'insert' && last === '-' ? parent.length : indexOf(last, parent.length - (mode === 'insert' ? 0 : 1));
    if (mode === 'replace') parent[index] = value;
    else insert(parent, index, value, budget);
  } else if (isObject(parent)) {
    if (mode === 'replace' && !Object.hasOwn(parent, last)) throw doesNotFit();
    parent[last] = value;
  } else throw doesNotFit();
  return document;
}

function removeAt(document: Json, path: readonly string[], budget: Budget): Json {
  const last = path.at(-1);
  if (last === undefined) return null;
  const parent = get(document, path.slice(0, -1));
  if (Array.isArray(parent)) {
    const index = indexOf(last, parent.length - 1);
    spend(budget, parent.length - index);
    parent.splice(index, 1);
  } else if (isObject(parent) && Object.hasOwn(parent, last)) delete parent[last];
  else throw doesNotFit();
  return document;
}

function insert(list: Json[], index: number, value: Json, budget: Budget): void {
  spend(budget, list.length - index);
  list.splice(index, 0, value);
}

function spend(budget: Budget, moved: number): void {
  budget.moved -= moved;
  if (budget.moved < 0)
    throw new ApiError(
      'RequestEntityTooLarge',
      `the operations of a patch may move ${maxMoved} items of lists: replace the list as a whole`,
    );
}

/** In bytes, more or less: every value costs something, however short it is. */
function weightOf(value: Json): number {
  if (typeof value === 'string') return value.length + 16;
  if (Array.isArray(value)) return value.reduce<number>((sum, item) => sum + weightOf(item), 16);
  if (!isObject(value)) return 16;
  return Object.entries(value).reduce((sum, [key, child]) => sum + key.length + weightOf(child), 16);
}
