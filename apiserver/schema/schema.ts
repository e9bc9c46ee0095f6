/** The structural schemas of CustomResourceDefinitions (apiextensions v1, JSONSchemaProps), as far as they are enforced here. */
import type { Json } from '#apiserver/json/json.ts';

/** A condition in CEL that values must meet (x-kubernetes-validations). */
export interface Rule {
  readonly rule: string;
  readonly message?: string;
  /** CEL too: gives the message. Wins over `message`, unless it cannot be computed. */
  readonly messageExpression?: string;
  readonly reason?: string;
  /** The field below to blame, such as .replicas. */
  readonly fieldPath?: string;
  /** The rule is asked about new objects too; its oldSelf is an optional. */
  readonly optionalOldSelf?: boolean;
}

export interface Schema {
  readonly type?: 'object' | 'array' | 'string' | 'integer' | 'number' | 'boolean';
  readonly description?: string;
  readonly format?: string;
  readonly enum?: readonly Json[];
  readonly default?: Json;
  readonly nullable?: boolean;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly additionalProperties?: Schema | boolean;
  readonly required?: readonly string[];
  readonly items?: Schema;
  readonly pattern?: string;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly exclusiveMinimum?: boolean;
  readonly exclusiveMaximum?: boolean;
  readonly multipleOf?: number;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly minItems?: number;
  readonly maxItems?: number;
  readonly uniqueItems?: boolean;
  readonly minProperties?: number;
  readonly maxProperties?: number;
  readonly 'x-kubernetes-preserve-unknown-fields'?: boolean;
  readonly 'x-kubernetes-int-or-string'?: boolean;
  readonly 'x-kubernetes-embedded-resource'?: boolean;
  readonly 'x-kubernetes-list-type'?: 'atomic' | 'set' | 'map';
  readonly 'x-kubernetes-list-map-keys'?: readonly string[];
  readonly 'x-kubernetes-map-type'?: 'atomic' | 'granular';
  /** Kubernetes' own kinds: whether the items of a list merge in a strategic merge patch, and what tells them apart. */
  readonly 'x-kubernetes-patch-strategy'?: 'merge' | 'replace';
  readonly 'x-kubernetes-patch-merge-key'?: string;
  readonly 'x-kubernetes-validations'?: readonly Rule[];
  /** Inside of these four there are conditions on values only: what prunes, defaults or names types stands outside. */
  readonly allOf?: readonly Schema[];
  readonly anyOf?: readonly Schema[];
  readonly oneOf?: readonly Schema[];
  readonly not?: Schema;
}

export function propertyOf(schema: Schema, name: string): Schema | undefined {
  const properties = schema.properties;
  return properties && Object.hasOwn(properties, name) ? properties[name] : undefined;
}

/** The schema of values whose keys are not named in `properties`, if it says anything about them. */
export function additionalOf(schema: Schema): Schema | undefined {
  return typeof schema.additionalProperties === 'object' ? schema.additionalProperties : undefined;
}
