import { parseAllDocuments, stringify } from 'yaml';
import { ApiError } from '#lib/std/errors.ts';
import { isObject, type Json } from './json.ts';
import { maxDepth, type Parsed, refuseDangerousName } from './strict.ts';

/** Nodes that a document may grow to by aliases ("billion laughs"). */
const maxAliases = 100;

/** One YAML document as JSON. BadRequest for anything else. Duplicate keys are errors of the parser. */
export function parseYaml(text: string, what: string): Parsed {
  const documents = parseAllDocuments(text, { uniqueKeys: false, strict: true });
  const [document] = documents;
  if (!Array.isArray(documents) || document === undefined || documents.length !== 1)
    throw new ApiError('BadRequest', `${what}: send exactly one YAML document`);
  const [problem] = document.errors;
  if (problem) throw new ApiError('BadRequest', `${what}: yaml parse error: ${problem.message}`, { cause: problem });
  const duplicates = duplicateKeys(text);
  const value = document.toJS({ maxAliasCount: maxAliases, mapAsMap: false }) as Json;
  check(value, 0);
  return { value, duplicates };
}

/** The parser names duplicates by position only, so the message keeps its line. */
function duplicateKeys(text: string): string[] {
  const [document] = parseAllDocuments(text, { uniqueKeys: true });
  return (document && 'errors' in document ? document.errors : [])
    .filter((error) => error.code === 'DUPLICATE_KEY')
    .map((error) => `line ${error.linePos?.[0].line ?? '?'}`);
}

function check(value: Json, depth: number): void {
  if (depth > maxDepth)
    throw new ApiError('BadRequest', `the object is nested more than ${maxDepth} levels deep; flatten it`);
  if (Array.isArray(value)) for (const item of value) check(item, depth + 1);
  else if (isObject(value))
    for (const [name, child] of Object.entries(value)) {
      refuseDangerousName(name);
      check(child, depth + 1);
    }
}

export function printYaml(value: Json): string {
  // As YAML 1.1, which is what Go's readers expect: then texts such as y, on or a time are quoted.
  return stringify(value, { version: '1.1', aliasDuplicateObjects: false, sortMapEntries: true, lineWidth: 0 });
}
