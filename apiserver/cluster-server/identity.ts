/** Which requests come from a cluster server, told as Kubernetes tells nodes: by a group, and a name that begins alike. */
import type { User } from '#apiserver/auth/user.ts';
import { clusterServerUser, programGroups } from '#lib/api/names.ts';

export interface ClusterServer {
  /** Name of its Cluster. undefined for a member of the group that is called otherwise: nothing is bound to it. */
  readonly cluster: string | undefined;
}

const prefix = clusterServerUser('');

/** undefined for everybody else, at once: this is asked on every request. */
export function clusterServerOf({ name, groups }: User): ClusterServer | undefined {
  if (!groups.includes(programGroups.clusterServer)) return undefined;
  const cluster = name.startsWith(prefix) ? name.slice(prefix.length) : '';
  return { cluster: cluster === '' ? undefined : cluster };
}
