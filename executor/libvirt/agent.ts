/** What libvirt says when the agent in the guest is not there or does not do as told, in words for the user of the machine. */
import { MachineError } from '../hypervisor.ts';
import { errorCode, LibvirtError } from './protocol.ts';

/** Throws what it was given if that says nothing about the agent. */
export function agentError(error: unknown): never {
  if (!(error instanceof LibvirtError)) throw error;
  const { agentUnresponsive, agentCommandTimeout, agentCommandFailed, operationInvalid, argumentUnsupported } =
    errorCode;
  switch (error.code) {
    case agentUnresponsive:
    case operationInvalid:
    case argumentUnsupported:
      throw new MachineError(
        'The guest agent is not connected: is qemu-guest-agent installed in the machine, and running?',
        {
          cause: error,
        },
      );
    case agentCommandTimeout:
      throw new MachineError('The guest agent did not answer in time', { cause: error });
    case agentCommandFailed:
      throw new MachineError(`The guest agent refuses: ${error.message}`, { cause: error });
    default:
      throw error;
  }
}
