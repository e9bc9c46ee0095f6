/** Placement rules that no host could ever pass because they cannot be read are refused when they are written. */
import { invalid } from '#apiserver/schema/causes.ts';
import { type HostSelector, selectorProblems } from '#lib/api/host-selectors.ts';
import { type PlacementSpec, readRules } from '#lib/api/placement-rules.ts';
import type { Cause } from '#lib/std/errors.ts';

/** `field` is the path of the machine's spec. */
export function checkPlacement(spec: { readonly placement?: PlacementSpec }, field: string): Cause[] {
  const { hostSelector, preferredHosts = [], constraints = [] } = spec.placement ?? {};
  return [
    ...constraints.flatMap((constraint, index) =>
      readRules({ constraints: [constraint] }).problems.map((problem) =>
        invalid(`${field}.placement.constraints[${index}].value`, constraint.value ?? null, problem),
      ),
    ),
    ...checkSelector(hostSelector, `${field}.placement.hostSelector`),
    ...preferredHosts.flatMap((wish, index) => checkSelector(wish, `${field}.placement.preferredHosts[${index}]`)),
  ];
}

function checkSelector(selector: HostSelector | undefined, field: string): Cause[] {
  return (selector?.matchExpressions ?? []).flatMap((requirement, index) =>
    selectorProblems({ matchExpressions: [requirement] }).map((problem) =>
      invalid(`${field}.matchExpressions[${index}].values`, [...(requirement.values ?? [])], problem),
    ),
  );
}
