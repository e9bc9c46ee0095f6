/** Rules of Leases (kubernetes, pkg/apis/coordination/validation). */
import { at, isObject } from '#apiserver/json/json.ts';
import { forbidden, invalid } from '#apiserver/schema/causes.ts';
import type { Cause } from '#lib/std/errors.ts';
import type { Rules } from './rules.ts';

export const leaseRules: Rules = {
  check(object) {
    const spec = at(object, 'spec');
    if (!isObject(spec)) return [];
    const causes: Cause[] = [];
    const { leaseDurationSeconds: duration, leaseTransitions: transitions, preferredHolder, strategy } = spec;
    if (typeof duration === 'number' && duration <= 0)
      causes.push(invalid('spec.leaseDurationSeconds', duration, 'must be greater than 0'));
    if (typeof transitions === 'number' && transitions < 0)
      causes.push(invalid('spec.leaseTransitions', transitions, 'must be greater than or equal to 0'));
    if (preferredHolder && !strategy)
      causes.push(forbidden('spec.preferredHolder', 'may only be specified if `strategy` is defined'));
    return causes;
  },
};
