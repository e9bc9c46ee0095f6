/** libvirt's states, reasons and events in our words. Numbers are virDomainState, virDomainShutoffReason and virDomainEventType. */
import type { Domain, DomainEvent } from '../hypervisor.ts';

type Power = Pick<Domain, 'power' | 'offReason'>;

const state = { running: 1, blocked: 2, paused: 3, shuttingDown: 4, off: 5, crashed: 6, suspendedByGuest: 7 } as const;
const offReasons: Readonly<Record<number, Domain['offReason']>> = { 1: 'Shutdown', 2: 'Destroyed', 3: 'Crashed' };
const stoppedDetails: Readonly<Record<number, Domain['offReason']>> = { 0: 'Shutdown', 1: 'Destroyed', 2: 'Crashed' };
const event = {
  undefined: 1,
  started: 2,
  suspended: 3,
  resumed: 4,
  stopped: 5,
  suspendedByGuest: 7,
  crashed: 8,
} as const;

/** A domain that is shutting down still runs. One that put itself to sleep is paused: only we can wake it. */
export function powerOf(domainState: number, reason: number): Power {
  switch (domainState) {
    case state.running:
    case state.blocked:
    case state.shuttingDown:
      return { power: 'On' };
    case state.paused:
    case state.suspendedByGuest:
      return { power: 'Paused' };
    case state.crashed:
      return { power: 'Off', offReason: 'Crashed' };
    default:
      return off(domainState === state.off ? offReasons[reason] : undefined);
  }
}

/** undefined for events that say nothing about power, such as a new definition. */
export function powerAfter(eventType: number, detail: number): Omit<DomainEvent, 'uid'> | undefined {
  switch (eventType) {
    case event.started:
    case event.resumed:
      return { power: 'On' };
    case event.suspended:
    case event.suspendedByGuest:
      return { power: 'Paused' };
    case event.stopped:
      return off(stoppedDetails[detail]);
    case event.crashed:
      return { power: 'Off', offReason: 'Crashed' };
    case event.undefined:
      return { power: 'Off' };
    default:
      return undefined;
  }
}

function off(offReason: Domain['offReason']): Power {
  return offReason === undefined ? { power: 'Off' } : { power: 'Off', offReason };
}
