/** Placement rules that no host could ever pass because they cannot be read are refused when they are written. */
import { invalid } from '#apiserver/schema/causes.ts';
import { type PlacementSpec, readRules } from '#lib/api/placement-rules.ts';
import type { Cause } from '#lib/std/errors.ts';

/** `field` is the path of the machine's spec. */
export function checkPlacement(spec: { readonly placement?: PlacementSpec }, field: string): Cause[] {
  return (spec.placement?.constraints ?? []).flatMap((constraint, index) =>
    readRules({ constraints: [constraint] }).problems.map((problem) =>
      invalid(`${field}.placement.constraints[${index}].value`, constraint.value ?? null, problem),
    ),
  );
}
