/**
 * What a cluster server looks at: what is bound to its Cluster, and machines that any cluster may take. The API server lets it see no more
 * (apiserver/cluster-server/). Field selectors know no "or", so machines are three selections; no machine is in two of them.
 */

/** Machines whose live attempt is ours, wherever their spec wants them: all that may run here. */
export function attemptsOf(cluster: string): string {
  return `status.attempt.cluster=${cluster}`;
}

export function machinesFor(cluster: string): readonly string[] {
  return [
    `spec.placement.cluster=${cluster}`,
    `${attemptsOf(cluster)},spec.placement.cluster!=${cluster}`,
    'spec.placement.cluster=,status.attempt.cluster=,status.phase=Scheduling',
  ];
}

export function hostsOf(cluster: string): string {
  return `spec.cluster=${cluster}`;
}

export function volumesOf(cluster: string): string {
  return `spec.cluster=${cluster}`;
}

/** Likewise snapshots and restores. */
export function operationsFor(cluster: string): string {
  return `status.cluster=${cluster}`;
}

export function clusterNamed(cluster: string): string {
  return `metadata.name=${cluster}`;
}
