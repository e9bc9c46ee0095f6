/** Grows when an executor learns something that a cluster server, or who looks at a host, may want to know of. Imports nothing: the supervisor has it. */
export const executorVersion = '0.8.0';
