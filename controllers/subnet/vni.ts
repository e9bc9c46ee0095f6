/**
 * VXLAN ids. A number is taken by creating the ConfigMap that is named by it: the store makes that unique over all subnets of all
 * namespaces, without anybody keeping a list.
 */
import { createHash } from 'node:crypto';
import type { Subnet } from '#lib/api/generated/index.ts';

/** Below are ids that sites use for VXLANs of their own; 24 bits end above. */
export const vniMin = 4096;
export const vniMax = 2 ** 24 - 1;
const span = vniMax - vniMin + 1;

export const vniConfigMapName = (vni: number) => `vni-${vni}`;

/** Where a subnet starts to look: spread by its uid, so that subnets made together do not all try the same number first. */
export function vniCandidate(subnetUID: string, attempt: number): number {
  const hash = createHash('sha256').update(subnetUID).digest().readUInt32BE(0);
  return vniMin + ((hash + attempt) % span);
}

/** What the ConfigMap says: whose number it is. */
export function vniData({ metadata }: Subnet): Readonly<Record<string, string>> {
  return { subnetUID: metadata.uid, namespace: metadata.namespace!, name: metadata.name };
}
