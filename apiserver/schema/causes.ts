/** Words of refused fields, those of Kubernetes' field.Error (apimachinery, pkg/util/validation/field). */
import type { Json } from '#apiserver/json/json.ts';
import type { Cause } from '#lib/std/errors.ts';

function show(value: Json | undefined): string {
  return value === undefined ? 'null' : JSON.stringify(value);
}

export function invalid(field: string, value: Json | undefined, why: string): Cause {
  return { reason: 'FieldValueInvalid', message: `Invalid value: ${show(value)}: ${why}`, field };
}

export function wrongType(field: string, value: Json, why: string): Cause {
  return { reason: 'FieldValueTypeInvalid', message: `Invalid value: ${show(value)}: ${why}`, field };
}

export function required(field: string, why?: string): Cause {
  return { reason: 'FieldValueRequired', message: why ? `Required value: ${why}` : 'Required value', field };
}

export function notSupported(field: string, value: Json, supported: readonly Json[]): Cause {
  const list = supported.map(show).join(', ');
  return {
    reason: 'FieldValueNotSupported',
    message: `Unsupported value: ${show(value)}: supported values: ${list}`,
    field,
  };
}

export function duplicate(field: string, value: Json): Cause {
  return { reason: 'FieldValueDuplicate', message: `Duplicate value: ${show(value)}`, field };
}

export function forbidden(field: string, why: string): Cause {
  return { reason: 'FieldValueForbidden', message: `Forbidden: ${why}`, field };
}

export function tooLong(field: string, max: number): Cause {
  return { reason: 'FieldValueTooLong', message: `Too long: may not be more than ${max} characters`, field };
}

export function tooManyBytes(field: string, max: number): Cause {
  return { reason: 'FieldValueTooLong', message: `Too long: may not be more than ${max} bytes`, field };
}

export function tooMany(field: string, actual: number, max: number): Cause {
  return { reason: 'FieldValueTooMany', message: `Too many: ${actual}: must have at most ${max} items`, field };
}

/** For a value that is too large to be repeated: an object or a list. */
export function omitted(reason: 'FieldValueInvalid' | 'FieldValueDuplicate', field: string, why?: string): Cause {
  const what = reason === 'FieldValueInvalid' ? 'Invalid value' : 'Duplicate value';
  return { reason, message: why === undefined ? what : `${what}: ${why}`, field };
}
