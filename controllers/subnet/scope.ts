import type { AddressPlan } from '#lib/api/addresses.ts';
import type { ConfigMap } from '#lib/api/core.ts';
import type { IPLease, Subnet } from '#lib/api/generated/index.ts';
import type { Width } from './width.ts';

/** The world of one subnet, read once. */
export interface Scope {
  readonly subnet: Subnet;
  readonly leases: readonly IPLease[];
  /**
   * Names of the machines that are on it without a lease, because the site gives them their addresses; if it is being deleted, also of those that
   * were let go and may run. Empty unless the site does.
   */
  readonly outside: readonly string[];
  /** ConfigMaps that say this subnet has their number: one, or two after a crash between create and status. */
  readonly vniMaps: readonly ConfigMap[];
  /** undefined with `invalid` saying why. */
  readonly plan: AddressPlan | undefined;
  readonly invalid: string | undefined;
  /** undefined: it has so few addresses in use that it cannot be too wide. */
  readonly width: Width | undefined;
  vni: number | undefined;
  holdStatus: boolean;
}
