/** Changes of what an agent's resources are: by operators and within ACCEPT. Stored by the agent, as in Mesos. */
import type { Resource } from '#mesos/types.ts';
import { HttpError } from '../http.ts';
import { type Conversion, type ConversionType, conversionsOf, convert, operationProblem } from '../operations.ts';
import { add, type Bag, contains, render, subtract, sum } from '../resources.ts';
import { refuse, rescindedOffer } from './offers.ts';
import { type Agent, allocatedOf, type Framework, type Master, sendToAgent } from './state.ts';

function isReserved(amount: { readonly kind: Pick<Resource, 'reservations'> }): boolean {
  return amount.kind.reservations?.some(({ type }) => type === 'DYNAMIC') ?? false;
}

/** The dynamic reservations and volumes of a bag: what an agent remembers beyond its flags. */
export function checkpointedOf(bag: Bag): Resource[] {
  return render(new Map([...bag].filter(([, amount]) => isReserved(amount))));
}

/** An agent's resources: those of its flags with its dynamic reservations and volumes made out of them. */
export function totalOf(flags: Bag, checkpointed: Bag): Bag {
  let total = flags;
  for (const amount of checkpointed.values()) {
    const { disk: _, reservations = [], ...kind } = amount.kind;
    const statics = reservations.filter(({ type }) => type === 'STATIC');
    const plain = { ...amount, kind: { ...kind, ...(statics.length > 0 && { reservations: statics }) } };
    const key = [...total].find(
      ([, other]) => other.kind.name === plain.kind.name && sameStack(other.kind, plain.kind),
    )?.[0];
    if (key !== undefined) total = subtract(total, new Map([[key, plain]]));
  }
  return add(total, checkpointed);
}

function sameStack(a: Pick<Resource, 'reservations'>, b: Pick<Resource, 'reservations'>): boolean {
  return JSON.stringify(a.reservations) === JSON.stringify(b.reservations);
}

function enter(master: Master, agent: Agent, conversions: readonly Conversion[]): void {
  for (const { consumed, converted } of conversions) {
    master.allocator.removeTotal(consumed);
    master.allocator.addTotal(converted);
    agent.total = add(subtract(agent.total, consumed), converted);
  }
  sendToAgent(agent, { type: 'CHECKPOINT_RESOURCES', resources: checkpointedOf(agent.total) });
}

/**
 * RESERVE_RESOURCES and its kin. Takes back offers that are in the way, as few as will do; HttpError 409 if even that is not enough, 400
 * if the operation is wrong.
 */
export function applyByOperator(
  master: Master,
  agent: Agent,
  type: ConversionType,
  resources: readonly Resource[],
  options: { readonly source?: readonly Resource[]; readonly principal?: string | undefined },
): void {
  const problem = operationProblem(type, resources, agent.total, options);
  if (problem !== undefined) {
    const where = `${agent.id} at slave(1)@127.0.0.1:${agent.info.port} (${agent.info.hostname})`;
    throw new HttpError(400, `Invalid ${type} operation on agent ${where}: ${problem}`);
  }
  const conversions = conversionsOf(type, resources, options.source);
  makeRoom(master, agent, conversions);
  const used = subtract(agent.total, agent.free);
  const after = convert(subtract(agent.total, used), conversions);
  if (typeof after === 'string') throw new HttpError(409, after);
  agent.free = after;
  enter(master, agent, conversions);
}

function makeRoom(master: Master, agent: Agent, conversions: readonly Conversion[]): void {
  let missing = sum(conversions.map(({ consumed }) => consumed));
  let recovered: Bag = new Map();
  for (const offer of [...agent.offers]) {
    const left = positive(subtract(missing, offer.bag));
    if (contains(left, missing)) continue; // It would not help.
    rescindedOffer(master, offer);
    // Filtered for the default time, so that the operation wins against the next allocation.
    refuse(master, offer.framework, agent, offer.role, offer.bag, undefined);
    recovered = add(recovered, offer.bag);
    missing = left;
    if (typeof convert(recovered, conversions) !== 'string') return;
  }
}

function positive(bag: Bag): Bag {
  return new Map(
    [...bag].filter(([, amount]) => amount.milli > 0 || amount.ranges.length > 0 || amount.items.length > 0),
  );
}

/**
 * An operation of ACCEPT on what is left of the offers. Gives what is left after it, or why Mesos would drop it: without an id of the
 * operation it does so with no more than a line in its log.
 */
export function applyToOffer(
  master: Master,
  framework: Framework,
  agent: Agent,
  role: string,
  left: Bag,
  type: ConversionType,
  resources: readonly Resource[],
): Bag | string {
  const problem = operationProblem(type, resources, agent.total, { principal: framework.info.principal, role });
  const conversions = conversionsOf(type, resources);
  const after = problem ?? convert(left, conversions);
  if (typeof after === 'string') {
    master.options.log.warn('Operation dropped', { framework: framework.id, operation: type, reason: after });
    return after;
  }
  for (const { consumed, converted } of conversions) {
    framework.allocated.set(role, add(subtract(allocatedOf(framework, role), consumed), converted));
    master.allocator.removeFromRole(role, consumed);
    master.allocator.addToRole(role, converted);
  }
  enter(master, agent, conversions);
  return after;
}
