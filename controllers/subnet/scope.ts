import type { AddressPlan } from '#lib/api/addresses.ts';
import type { ConfigMap } from '#lib/api/core.ts';
import type { IPLease, Subnet, VirtualMachine } from '#lib/api/generated/index.ts';
import type { Width } from './width.ts';

/** The world of one subnet, read once. */
export interface Scope {
  readonly subnet: Subnet;
  readonly leases: readonly IPLease[];
  /** Machines that are on it without a lease, because the site gives them their addresses. Empty unless it does. */
  readonly outside: readonly VirtualMachine[];
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
