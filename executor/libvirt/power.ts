/**
 * libvirt's states, reasons and events in our words. Numbers are virDomainState, virDomainShutoffReason, virDomainPausedReason,
 * virDomainEventType and the details of its kinds.
 */
import type { DomainPower } from '../hypervisor.ts';

const state = { running: 1, blocked: 2, paused: 3, shuttingDown: 4, off: 5, crashed: 6, suspendedByGuest: 7 } as const;
const event = {
  undefined: 1,
  started: 2,
  suspended: 3,
  resumed: 4,
  stopped: 5,
  suspendedByGuest: 7,
  crashed: 8,
} as const;

type Reasons<Name extends keyof DomainPower> = Readonly<Record<number, NonNullable<DomainPower[Name]>>>;
const offReasons: Reasons<'offReason'> = { 1: 'Shutdown', 2: 'Destroyed', 3: 'Crashed' };
const stoppedDetails: Reasons<'offReason'> = { 0: 'Shutdown', 1: 'Destroyed', 2: 'Crashed' };
const pausedReasons: Reasons<'pausedReason'> = { 1: 'User', 5: 'IOError' };
/** Of `started`: it waits for its guest, and runs when it is resumed. */
const startedToReceive = 1;
const suspendedDetails: Reasons<'pausedReason'> = { 0: 'User', 2: 'IOError' };

const pausedByMigration = 2;

/** It stands because its guest was, or is to be, sent: it has left this host, or is not here yet. */
export function isMigrating(domainState: number, reason: number): boolean {
  return domainState === state.paused && reason === pausedByMigration;
}

/** A domain that is shutting down still runs. One that put itself to sleep is paused: only we can wake it. */
export function powerOf(domainState: number, reason: number): DomainPower {
  switch (domainState) {
    case state.running:
    case state.blocked:
    case state.shuttingDown:
      return { power: 'On' };
    case state.paused:
      return paused(pausedReasons[reason]);
    case state.suspendedByGuest:
      return paused(undefined);
    case state.crashed:
      return off('Crashed');
    default:
      return off(domainState === state.off ? offReasons[reason] : undefined);
  }
}

/** undefined for events that say nothing about power, such as a new definition. */
export function powerAfter(eventType: number, detail: number): DomainPower | undefined {
  switch (eventType) {
    case event.started:
      return detail === startedToReceive ? paused(undefined) : { power: 'On' };
    case event.resumed:
      return { power: 'On' };
    case event.suspended:
      return paused(suspendedDetails[detail]);
    case event.suspendedByGuest:
      return paused(undefined);
    case event.stopped:
      return off(stoppedDetails[detail]);
    case event.crashed:
      return off('Crashed');
    case event.undefined:
      return { power: 'Off' };
    default:
      return undefined;
  }
}

function off(offReason: DomainPower['offReason']): DomainPower {
  return offReason === undefined ? { power: 'Off' } : { power: 'Off', offReason };
}

function paused(pausedReason: DomainPower['pausedReason'] = 'Other'): DomainPower {
  return { power: 'Paused', pausedReason };
}
