import { admissionCauses } from '#apiserver/admission/admission.ts';
import { invalidObject } from '#apiserver/http/status.ts';
import { atPath } from '#apiserver/json/json.ts';
import type { ApiObject, StoredObject } from '#apiserver/json/object.ts';
import type { Resource } from '#apiserver/resources/resource.ts';
import { type Accepts, compileSchema } from '#apiserver/schema/accept.ts';
import { invalid } from '#apiserver/schema/causes.ts';
import { explain } from '#apiserver/schema/explain.ts';
import type { Schema } from '#apiserver/schema/schema.ts';
import type { Cause } from '#lib/std/errors.ts';
import { checkMetadata, checkNewFinalizers } from './check-metadata.ts';

const compiled = new WeakMap<Schema, Accepts>();

/** Compiled once, at the first object of the kind. */
function accepts(schema: Schema): Accepts {
  const known = compiled.get(schema);
  if (known) return known;
  const fresh = compileSchema(schema);
  compiled.set(schema, fresh);
  return fresh;
}

/** Invalid, with every cause, unless the object may be stored. `old` is what is there now, if anything. */
export function validate(object: ApiObject, old: StoredObject | undefined, resource: Resource): void {
  const schemaCauses = checkSchema(object, resource);
  const causes = [
    ...checkMetadata(object, resource),
    ...(old ? checkNewFinalizers(old.metadata, object.metadata) : []),
    ...schemaCauses,
    // A rule may rely on the schema: it is asked only about objects that have the right shape.
    ...(schemaCauses.length === 0 ? admissionCauses(object, old, resource) : []),
  ];
  if (causes.length > 0) throw invalidObject(resource, object.metadata.name ?? '', causes);
}

function checkSchema(object: ApiObject, resource: Resource): Cause[] {
  if (accepts(resource.schema)(object)) return [];
  const causes = [...explain(object, resource.schema, ''), ...checkReplicas(object, resource)];
  if (causes.length > 0) return causes;
  throw new Error(`The schema of ${resource.kind} refuses an object for reasons that explain does not know`);
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
