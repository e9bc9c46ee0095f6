/** Field selectors: a few named fields, compared for equality. An unknown field is refused: ignored, it would select everything. */
import { badRequest } from '#apiserver/http/status.ts';
import { atPath } from '#apiserver/json/json.ts';
import type { StoredObject } from '#apiserver/json/object.ts';
import type { Resource } from '#apiserver/resources/resource.ts';

/** Every object of a list is held against all of them. */
const maxTerms = 1_000;

export interface FieldTerm {
  readonly label: string;
  readonly equal: boolean;
  readonly value: string;
}

export interface FieldMatcher {
  matches(object: StoredObject): boolean;
}

/** BadRequest for text that is no selector, or that names a field this resource does not offer. */
export function parseFieldSelector(text: string | null, resource: Resource): FieldMatcher {
  const terms = parseFieldTerms(text ?? '').map((term) => ({ ...term, path: pathOf(term.label, resource) }));
  return {
    matches: (object) =>
      terms.every(({ path, equal, value }) => (String(atPath(object, path) ?? '') === value) === equal),
  };
}

/** The terms alone, whether or not a resource offers the fields. BadRequest for text that is no selector. */
export function parseFieldTerms(text: string): FieldTerm[] {
  const terms = text.split(/(?<!\\),/).filter((part) => part.trim() !== '');
  if (terms.length > maxTerms)
    throw badRequest(`a field selector may have ${maxTerms} terms, this one has ${terms.length}`);
  return terms.map(parseTerm);
}

function parseTerm(text: string): FieldTerm {
  const match = /^([^=!]+?)(==|!=|=)(.*)$/s.exec(text.trim());
  if (!match) throw badRequest(`invalid field selector: "${text}"; write field=value or field!=value`);
  const label = match[1]!.trim();
  const value = match[3]!.replaceAll(/\\([\\,=])/g, '$1');
  return { label, equal: match[2] !== '!=', value };
}

function pathOf(label: string, resource: Resource): readonly string[] {
  if (label === 'metadata.name') return ['metadata', 'name'];
  if (label === 'metadata.namespace' && resource.namespaced) return ['metadata', 'namespace'];
  const field = resource.selectableFields.find((known) => known.label === label);
  if (!field) throw badRequest(`field label not supported: ${label}`);
  return field.path;
}
