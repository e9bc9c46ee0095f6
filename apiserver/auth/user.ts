export interface User {
  readonly name: string;
  readonly uid?: string;
  readonly groups: readonly string[];
}

/** In every user that has shown who it is, as in Kubernetes. */
export const authenticatedGroup = 'system:authenticated';
