/** Taints of hosts and what machines tolerate, as Kubernetes reads them; NoExecute is left to draining a host. */
export interface Taint {
  readonly key: string;
  readonly value?: string;
  /** PreferNoSchedule: others come first. */
  readonly effect: 'NoSchedule' | 'PreferNoSchedule';
}

export interface Toleration {
  /** Left out, with Exists: every taint. */
  readonly key?: string;
  readonly operator?: 'Equal' | 'Exists';
  readonly value?: string;
  /** Left out: every effect. */
  readonly effect?: Taint['effect'];
}

function tolerates({ key = '', operator = 'Equal', value = '', effect }: Toleration, taint: Taint): boolean {
  if (effect !== undefined && effect !== taint.effect) return false;
  if (key === '') return operator === 'Exists';
  return key === taint.key && (operator === 'Exists' || value === (taint.value ?? ''));
}

/** Those that none of the tolerations covers. */
export function untolerated(taints: readonly Taint[], tolerations: readonly Toleration[]): readonly Taint[] {
  return taints.filter((taint) => !tolerations.some((toleration) => tolerates(toleration, taint)));
}
