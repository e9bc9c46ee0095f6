/** What libvirt says when the agent in the guest is not there or does not do as told, in words for the user of the machine. */
import { MachineError } from '../hypervisor.ts';
import { errorCode, LibvirtError } from './protocol.ts';

/** Throws what it was given if that says nothing about the agent. */
export function agentError(error: unknown): never {
  if (!(error instanceof LibvirtError)) throw error;
  const {
    internal,
    agentUnresponsive,
    agentCommandTimeout,
    agentCommandFailed,
    argumentUnsupported,
    operationInvalid,
  } = errorCode;
  switch (error.code) {
    case agentUnresponsive:
    case operationInvalid:
    case argumentUnsupported:
      throw new MachineError(notConnected, { cause: error });
    case agentCommandTimeout:
      throw new MachineError('The guest agent did not answer in time', { cause: error });
    case agentCommandFailed:
    case internal:
      throw refusal(error);
    default:
      throw error;
  }
}

const notConnected = 'The guest agent is not connected: is qemu-guest-agent installed in the machine, and running?';

/** The agent's own words stand behind libvirt's, which are of the host. */
function refusal(error: LibvirtError): Error {
  const said = /agent command '[^']*': (.*)$/s.exec(error.message)?.[1];
  return said === undefined ? error : new MachineError(`The guest agent refuses: ${said}`, { cause: error });
}
