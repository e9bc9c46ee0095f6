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
}

export function atTime(domain: SimDomain, now: number): SimDomain {
  return domain.power === 'On' && domain.offAt !== undefined && now >= domain.offAt
    ? switchedOff(domain, 'Shutdown')
    : domain;
}

export function started(domain: SimDomain, now: number): SimDomain {
  if (domain.power !== 'Off') return domain;
  const { spec } = domain;
  return { spec, power: 'On', bootedAt: now, ...(spec.nics.some((nic) => nic.unplugged) && { unplugged: true }) };
}

/** Its cables stay as they are. */
export function rebooted({ spec, unplugged }: SimDomain, now: number): SimDomain {
  return { spec, power: 'On', bootedAt: now, ...(unplugged && { unplugged }) };
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
  return { spec: domain.spec, power: 'Off', offReason };
}

/** A guest that is still booting turns itself off once it is up; shutting down takes it a quarter of its boot time. */
export function powerButton(domain: SimDomain, bootMs: number, now: number): SimDomain {
  if (domain.power !== 'On' || domain.offAt !== undefined || domain.hung) return domain;
  return { ...domain, offAt: Math.max(now, (domain.bootedAt ?? now) + bootMs) + bootMs / 4 };
}

export function publicView({ spec, power, offReason, pausedReason }: SimDomain): Domain {
  const why = {
    ...(offReason === undefined ? {} : { offReason }),
    ...(pausedReason === undefined ? {} : { pausedReason }),
  };
  return { uid: spec.uid, attempt: spec.attempt, power, ...why };
}
