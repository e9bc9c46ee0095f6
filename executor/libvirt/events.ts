/** Messages that libvirtd sends unasked, as events of our domains. */
import type { DomainEvent } from '../hypervisor.ts';
import { domainName } from './domain-xml.ts';
import { powerAfter } from './power.ts';
import { decodeDomain, procedure } from './protocol.ts';
import type { XdrReader } from './xdr.ts';

/** undefined for messages that are no events, about domains that are not ours, and that change nothing about power. */
export function readEvent(number: number, body: XdrReader): DomainEvent | undefined {
  if (number !== procedure.domainEventCallbackLifecycle && number !== procedure.domainEventCallbackReboot)
    return undefined;
  body.int32(); // which registration it answers: there is one per kind of event
  const { name, uuid: uid } = decodeDomain(body);
  if (name !== domainName(uid)) return undefined;
  if (number === procedure.domainEventCallbackReboot) return { uid, power: 'On', rebooted: true };
  const after = powerAfter(body.int32(), body.int32());
  return after && { uid, ...after };
}
