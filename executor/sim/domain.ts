/** What time does to an imitated domain. Pure: a domain is read with the time of the look, so that an idle one costs nothing. */
import type { Domain, DomainPower, DomainSpec } from '../hypervisor.ts';

export interface SimDomain extends DomainPower {
  readonly spec: DomainSpec;
  /** When the guest was last started or rebooted; it answers the power button `bootMs` later. */
  readonly bootedAt?: number;
  /** The guest was told to turn itself off, and is off from then on. */
  readonly offAt?: number;
  /** Its interfaces have no carrier. */
  readonly unplugged?: true;
  /** The guest answers nobody, not even the power button, until it boots anew. */
  readonly hung?: true;
  /** Its disk fails: it stops wherever it would go on. */
  readonly broken?: boolean;
  /** Its agent was told to freeze its file systems, and not yet to thaw them. */
  readonly frozen?: boolean;
  /** How often the guest was started or rebooted, wherever it was. */
  readonly boots?: number;
  /** It waits for its guest: what is sent must bear this. It ends with the process that wrote it. */
  readonly receiving?: string;
  /** All of its guest was sent to another host: how it was before. */
  readonly sent?: DomainPower;
}

export function atTime(domain: SimDomain, now: number): SimDomain {
  return domain.power === 'On' && domain.offAt !== undefined && now >= domain.offAt
    ? switchedOff(domain, 'Shutdown')
    : domain;
}

export function started(domain: SimDomain, now: number): SimDomain {
  if (domain.power !== 'Off') return domain;
  const { spec, boots = 0 } = domain;
  const unplugged = spec.nics.some((nic) => nic.unplugged);
  return { spec, power: 'On', boots: boots + 1, bootedAt: now, ...(unplugged && { unplugged }) };
}

/** Its cables stay as they are. */
export function rebooted({ spec, boots = 0, unplugged }: SimDomain, now: number): SimDomain {
  return { spec, power: 'On', boots: boots + 1, bootedAt: now, ...(unplugged && { unplugged }) };
}

export function plugged({ unplugged: _, ...domain }: SimDomain): SimDomain {
  return domain;
}

/** Stopped by somebody, or by its own disk. One that is paused already keeps its reason, as libvirt's do. */
export function paused(domain: SimDomain, pausedReason: 'User' | 'IOError'): SimDomain {
  return domain.power === 'On' ? { ...domain, power: 'Paused', pausedReason } : domain;
}

export function resumed(domain: SimDomain): SimDomain {
  const { pausedReason: _, ...rest } = domain;
  return { ...rest, power: 'On' };
}

export function switchedOff(domain: SimDomain, offReason: 'Shutdown' | 'Crashed' | 'Destroyed'): SimDomain {
  return { spec: domain.spec, power: 'Off', offReason, boots: domain.boots ?? 0 };
}

/** It stands, until it is known who has it. */
export function sentAway({ pausedReason, ...domain }: SimDomain): SimDomain {
  const before = { power: domain.power, ...(pausedReason === undefined ? {} : { pausedReason }) };
  return { ...domain, power: 'Paused', pausedReason: 'Other', sent: before };
}

/** Nobody else has it. */
export function goesOn({ sent, pausedReason: _, ...domain }: SimDomain): SimDomain {
  return { ...domain, ...(sent ?? { power: domain.power }) };
}

/** A guest that is still booting turns itself off once it is up; shutting down takes it a quarter of its boot time. */
export function powerButton(domain: SimDomain, bootMs: number, now: number): SimDomain {
  if (domain.power !== 'On' || domain.offAt !== undefined || domain.hung) return domain;
  return { ...domain, offAt: Math.max(now, (domain.bootedAt ?? now) + bootMs) + bootMs / 4 };
}

export function publicView({ spec, power, offReason, pausedReason, receiving, sent }: SimDomain): Domain {
  const why = {
    ...(offReason === undefined ? {} : { offReason }),
    ...(pausedReason === undefined ? {} : { pausedReason }),
    ...(receiving === undefined ? {} : { receiving: true as const }),
    ...(sent === undefined ? {} : { sent: true as const }),
  };
  return { uid: spec.uid, attempt: spec.attempt, power, ...why };
}
