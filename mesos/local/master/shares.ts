/** What roles may have: weights, by which the allocator divides their shares, and limits that it does not go beyond. */
import { HttpError } from '../http.ts';
import { roleProblem } from './calls/subscribe.ts';
import { rescindOffer } from './offers.ts';
import type { QuotaConfig } from './registry.ts';
import type { Master } from './state.ts';

export function updateWeights(
  master: Master,
  infos: readonly { readonly role?: string; readonly weight: number }[],
): void {
  for (const { role = '', weight } of infos) {
    const problem = roleProblem(role);
    if (problem !== undefined) throw new HttpError(400, `Failed to validate update weights request JSON: ${problem}`);
    if (!(weight > 0))
      throw new HttpError(
        400,
        `Failed to validate update weights request JSON for role '${role}': Invalid weight '${weight}': Weights must be positive`,
      );
  }
  master.registry.setWeights(infos.map(({ role = '', weight }) => [role, weight]));
  for (const offer of [...master.offers.values()]) rescindOffer(master, offer);
}

/** Limits only: guarantees are deprecated in Mesos and not imitated. A role without limits has none from now on. */
export function updateQuota(master: Master, configs: readonly QuotaConfig[]): void {
  for (const { role } of configs) {
    const problem = roleProblem(role);
    if (problem !== undefined) throw new HttpError(400, `Failed to validate set quota request: ${problem}`);
  }
  master.registry.setQuota(configs);
}
