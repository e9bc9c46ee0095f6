import { type Document, parseAllDocuments, stringify, type YAMLError } from 'yaml';
import { ApiError } from '#lib/std/errors.ts';
import { isObject, type Json } from './json.ts';
import { type Parsed, refuseDangerousName, requireShallow } from './strict.ts';

/** How much a document may grow by aliases ("billion laughs"). */
const maxAliases = 100;

/** One YAML document as JSON. BadRequest for anything else. */
export function parseYaml(text: string, what: string): Parsed {
  const documents = parseAllDocuments(text, { uniqueKeys: true, strict: true });
  const [document] = documents;
  if (!Array.isArray(documents) || document === undefined || documents.length !== 1)
    throw new ApiError('BadRequest', `${what}: send exactly one YAML document`);
  const problem = document.errors.find((error) => error.code !== 'DUPLICATE_KEY');
  if (problem) throw new ApiError('BadRequest', `${what}: yaml parse error: ${problem.message}`, { cause: problem });
  const value = toJson(document, what);
  requireShallow(value);
  refuseDangerousNames(value);
  return { value, duplicates: document.errors.map(placeOf) };
}

function toJson(document: Pick<Document, 'toJS'>, what: string): Json {
  try {
    return document.toJS({ maxAliasCount: maxAliases }) as Json;
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new ApiError('BadRequest', `${what}: yaml parse error: ${why}`, { cause: error });
  }
}

/** The parser does not say which field it is, only where. */
function placeOf(error: YAMLError): string {
  return `line ${error.linePos?.[0].line ?? '?'}`;
}

function refuseDangerousNames(value: Json): void {
  if (Array.isArray(value)) for (const item of value) refuseDangerousNames(item);
  else if (isObject(value))
    for (const [name, child] of Object.entries(value)) {
      refuseDangerousName(name);
      refuseDangerousNames(child);
    }
}

export function printYaml(value: Json): string {
  // As YAML 1.1, which is what Go's readers expect: then texts such as y, on or a time are quoted.
  return stringify(value, { version: '1.1', aliasDuplicateObjects: false, sortMapEntries: true, lineWidth: 0 });
}
