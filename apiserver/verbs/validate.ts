import { admissionCauses } from '#apiserver/admission/admission.ts';
import { hasRules, ruleCauses } from '#apiserver/cel/check-object.ts';
import { invalidObject } from '#apiserver/http/status.ts';
import { atPath } from '#apiserver/json/json.ts';
import type { ApiObject, StoredObject } from '#apiserver/json/object.ts';
import type { Resource } from '#apiserver/resources/resource.ts';
import { invalid } from '#apiserver/schema/causes.ts';
import { schemaCauses } from '#apiserver/schema/check.ts';
import { Correlation } from '#apiserver/schema/correlation.ts';
import type { Cause } from '#lib/std/errors.ts';
import { checkMetadata, checkNewFinalizers } from './check-metadata.ts';

/** Invalid, with every cause, unless the object may be stored. `old` is what is there now, if anything. */
export function validate(object: ApiObject, old: StoredObject | undefined, resource: Resource): void {
  const before = old && new Correlation(object, old, resource.schema);
  const shape = schemaCauses(object, resource.schema, before);
  const causes = [
    ...(old ? checkNewFinalizers(old.metadata, object.metadata) : []),
    ...withRules(object, resource, before, shape),
    // A rule may rely on the schema: it is asked only about objects that have the right shape.
    ...(shape.length === 0 ? admissionCauses(object, old, resource) : []),
  ];
  if (causes.length > 0) throw invalidObject(resource, object.metadata.name ?? '', causes);
}

/** What speaks against an object that has not come so far that it could be stored. */
export function causesAgainst(object: ApiObject, resource: Resource): Cause[] {
  return withRules(object, resource, undefined, schemaCauses(object, resource.schema, undefined));
}

function withRules(
  object: ApiObject,
  resource: Resource,
  before: Correlation | undefined,
  shape: readonly Cause[],
): Cause[] {
  const causes = [...checkMetadata(object, resource), ...shape, ...checkReplicas(object, resource)];
  return [...causes, ...rulesOrRemark(object, resource, before, causes)];
}

/** Causes after which rules would only say the same again, or stumble (apiextensions, registry/customresource). */
const blocking = new Set([
  'FieldValueNotSupported',
  'FieldValueRequired',
  'FieldValueTooLong',
  'FieldValueTooMany',
  'FieldValueTypeInvalid',
]);

const remark = invalid(
  '<nil>',
  null,
  'some validation rules were not checked because the object was invalid; correct the existing errors to complete validation',
);

/** What the schema's rules in CEL say; or, about an object that is too far from its schema, that they were not asked. */
function rulesOrRemark(
  object: ApiObject,
  { schema }: Resource,
  before: Correlation | undefined,
  causes: readonly Cause[],
): Cause[] {
  if (!hasRules(schema)) return [];
  return causes.some(({ reason }) => blocking.has(reason)) ? [remark] : ruleCauses(object, schema, before);
}

/** The scale subresource must be able to read its figure, whatever the schema says (apiextensions, registry/customresource). */
function checkReplicas(object: ApiObject, resource: Resource): Cause[] {
  if (!resource.scale) return [];
  const path = resource.scale.specReplicas;
  const value = atPath(object, path);
  const field = `.${path.join('.')}`;
  if (value === undefined) return [];
  if (typeof value !== 'number')
    return [
      invalid(field, 0, `${field} accessor error: ${String(value)} is of the type ${typeof value}, expected int64`),
    ];
  return value < 0 ? [invalid(field, value, 'should be a non-negative integer')] : [];
}
