/**
 * What Mesos has of one agent, as a monitor divides it: reserved for machines, kept for the host, and the rest, which is not reserved. What
 * is reserved in any other way belongs to somebody else and is left alone.
 */
import { isDeepStrictEqual } from 'node:util';
import type { OperatorAgent } from '#mesos/operator-types.ts';
import { type Reservation, reservationsOf, sumMilli } from '#mesos/resources.ts';
import type { Resource } from '#mesos/types.ts';
import { type Amounts, amounts, fromMilli, type Name, names, scalarOf } from './amounts.ts';
import type { Act, Place } from './decide.ts';

export interface Identity {
  /** Of the framework that runs machines. */
  readonly role: string;
  /** One that no framework is in: what is reserved for it is used by nobody in Mesos. */
  readonly hostRole: string;
  /** As the masters know us, where they ask. */
  readonly principal?: string;
}

export interface Books {
  readonly agentId: string;
  /** By DEACTIVATE_AGENT or DRAIN_AGENT, whoever sent it. */
  readonly isClosed: boolean;
  readonly drain: 'DRAINING' | 'DRAINED' | undefined;
  readonly machines: Amounts;
  readonly machinesUsed: Amounts;
  readonly host: Amounts;
  readonly hostUsed: Amounts;
  readonly loose: Amounts;
  /** Of `loose`, by tasks and executors of the machines' role, and by those of others. */
  readonly looseByMachines: Amounts;
  readonly looseByOthers: Amounts;
}

const label = { key: 'managed-by', value: 'factory-monitor' } as const;

function reservationFor({ principal }: Identity, role: string): Reservation {
  return { type: 'DYNAMIC', role, ...(principal && { principal }), labels: { labels: [label] } };
}

export function booksOf(agent: OperatorAgent, identity: Identity): Books {
  const { total_resources: total, allocated_resources: allocated } = agent;
  const isPlain = (resource: Resource) => resource.disk === undefined;
  const isLoose = (resource: Resource) => isPlain(resource) && reservationsOf(resource).length === 0;
  const isFor = (role: string) => {
    const wanted = [reservationFor(identity, role)];
    return (resource: Resource) => isPlain(resource) && isDeepStrictEqual(normal(resource), wanted);
  };
  const sum = (resources: readonly Resource[] | undefined, accept: (resource: Resource) => boolean) =>
    amounts((name) => fromMilli(name, sumMilli(resources, name, accept)));
  const isByMachines = ({ allocation_info }: Resource) => allocation_info?.role === identity.role;
  const isDrained = agent.drain_info?.state;
  return {
    agentId: agent.agent_info.id.value,
    isClosed: agent.deactivated === true,
    drain: isDrained === 'DRAINING' || isDrained === 'DRAINED' ? isDrained : undefined,
    machines: sum(total, isFor(identity.role)),
    machinesUsed: ceiling(allocated, isFor(identity.role)),
    host: sum(total, isFor(identity.hostRole)),
    hostUsed: ceiling(allocated, isFor(identity.hostRole)),
    loose: sum(total, isLoose),
    looseByMachines: ceiling(allocated, (resource) => isLoose(resource) && isByMachines(resource)),
    looseByOthers: ceiling(allocated, (resource) => isLoose(resource) && !isByMachines(resource)),
  };
}

/** Of what is used a part of a MiB counts as a whole one. */
function ceiling(resources: readonly Resource[] | undefined, accept: (resource: Resource) => boolean): Amounts {
  return amounts((name) => -fromMilli(name, -sumMilli(resources, name, accept)));
}

/** Reservations without what masters add to them. */
function normal(resource: Resource): readonly Reservation[] {
  return reservationsOf(resource).map(({ type, role, principal, labels }) => ({
    ...{ type, role },
    ...(principal && { principal }),
    ...(labels?.labels.length && {
      labels: { labels: labels.labels.map(({ key, value }) => ({ key, ...(value && { value }) })) },
    }),
  }));
}

/** The call of the operator API that carries an act out. */
export function callOf(
  act: Act,
  agentId: string,
  identity: Identity,
): { readonly type: string; readonly [field: string]: unknown } {
  const agent_id = { value: agentId };
  switch (act.kind) {
    case 'Close':
      return { type: 'DEACTIVATE_AGENT', deactivate_agent: { agent_id } };
    case 'Drain': {
      const max_grace_period = { seconds: Math.ceil(act.graceMs / 1000) };
      return { type: 'DRAIN_AGENT', drain_agent: { agent_id, max_grace_period, mark_gone: false } };
    }
    case 'Reopen':
      return { type: 'REACTIVATE_AGENT', reactivate_agent: { agent_id } };
    case 'Move': {
      const at = (place: Place) => resourcesIn(place, act.amounts, identity);
      if (act.to === 'loose')
        return { type: 'UNRESERVE_RESOURCES', unreserve_resources: { agent_id, resources: at(act.from) } };
      // With a source reserved resources change hands at once: nobody is offered them in between.
      const source = act.from === 'loose' ? {} : { source: at(act.from) };
      return { type: 'RESERVE_RESOURCES', reserve_resources: { agent_id, ...source, resources: at(act.to) } };
    }
  }
}

function resourcesIn(place: Place, some: Amounts, identity: Identity): readonly Resource[] {
  const role = place === 'machines' ? identity.role : identity.hostRole;
  const reservations = place === 'loose' ? {} : { reservations: [reservationFor(identity, role)] };
  return names
    .filter((name: Name) => some[name] > 0)
    .map((name) => ({ name, type: 'SCALAR', scalar: { value: scalarOf(name, some[name]) }, ...reservations }));
}
