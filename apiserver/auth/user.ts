export interface User {
  readonly name: string;
  readonly uid?: string;
  readonly groups: readonly string[];
}

export const anonymous: User = { name: 'system:anonymous', groups: ['system:unauthenticated'] };

/** In every user that has shown who it is, as in Kubernetes. */
export const authenticatedGroup = 'system:authenticated';
