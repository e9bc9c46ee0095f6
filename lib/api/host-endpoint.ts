/** What a host's executor serves over TLS to the API server, machine by machine: paths, and the tokens that open them. */
import { createHmac } from 'node:crypto';

/** What can be asked of a machine at its host. Each is a subresource of VirtualMachine too. */
export const machineServices = ['console', 'vnc', 'log', 'screenshot', 'exec'] as const;
export type MachineService = (typeof machineServices)[number];

/** On top of the URL that a heartbeat tells. */
export function machinePath(uid: string, service: MachineService): string {
  return `/machines/${uid}/${service}`;
}

/**
 * Opens one thing of one machine. `secret` is the token of the heartbeat, which is new with every worker and never sent itself; but for
 * consoles, which executors before 0.5 open by it.
 */
export function machineToken(secret: string, uid: string, service: MachineService): string {
  if (service === 'console') return secret;
  return createHmac('sha256', secret).update(machinePath(uid, service)).digest('base64url');
}
