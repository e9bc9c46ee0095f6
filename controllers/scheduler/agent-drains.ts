/**
 * The last step of a drain: once a host that its spec drains is empty, or at the deadline, Mesos drains its agent, which ends what other
 * frameworks have there and makes no more offers of it. With the drain's end the agent is reactivated, if it was drained on our word.
 */
import { Host } from '#lib/api/generated/host.ts';
import { isCode, messageOf } from '#lib/std/errors.ts';
import { MesosHttpError } from '#mesos/http.ts';
import type { OperatorClient } from '#mesos/operator.ts';
import type { Agent } from './agents.ts';
import { drainOf, leftOn } from './drains.ts';
import type { World } from './world.ts';

/** A refusal is not asked about again for so long: it mostly is a right that we do not have. */
const refusedForMs = 60_000;

export interface AgentDrainsOptions {
  readonly world: World;
  readonly operator: OperatorClient;
  /** Mesos has done something: agents are to be read again. */
  readonly onDone: () => void;
  /** Another refusal than before, or none any more. */
  readonly onRefusal: (hostname: string) => void;
}

type Call = { readonly type: 'DRAIN_AGENT' | 'REACTIVATE_AGENT'; readonly [key: string]: unknown };

export class AgentDrains {
  readonly #options: AgentDrainsOptions;
  /** Host -> what Mesos said, and (monotonic) when. */
  readonly #refused = new Map<string, { readonly message: string; readonly atMs: number }>();

  constructor(options: AgentDrainsOptions) {
    this.#options = options;
  }

  /** Why Mesos would not; undefined if it was not asked, or did. */
  refusal(hostname: string): string | undefined {
    return this.#refused.get(hostname)?.message;
  }

  /** To be called every few seconds. */
  async look(): Promise<void> {
    const { world } = this.#options;
    for (const host of world.hosts.list()) {
      const agent = world.agents.get(host.spec.hostname);
      const call = agent && nextCall(world, host, agent);
      if (!call) this.#agreed(host.spec.hostname);
      else await this.#send(host, call);
    }
  }

  async #send(host: Host, call: Call): Promise<void> {
    const { world, operator, onDone, onRefusal } = this.#options;
    const { hostname } = host.spec;
    const nowMs = world.clock.monotonic();
    if (nowMs - (this.#refused.get(hostname)?.atMs ?? Number.NEGATIVE_INFINITY) < refusedForMs) return;
    try {
      // Before it is done: otherwise nobody would know whom to reactivate.
      if (call.type === 'DRAIN_AGENT' && host.status?.drain?.agentDrained !== true) {
        const status = { ...host.status, drain: { ...host.status?.drain, agentDrained: true } };
        world.hosts.wrote(await world.client.updateStatus(Host, { ...host, status }));
      }
      await operator.call(call);
      this.#agreed(hostname);
      world.log.info('Mesos was told', { host: hostname, call: call.type });
      onDone();
    } catch (error) {
      if (isCode(error, 'Conflict', 'NotFound')) return;
      const message = error instanceof MesosHttpError ? error.body.trim() || messageOf(error) : messageOf(error);
      this.#refused.set(hostname, { message, atMs: nowMs });
      onRefusal(hostname);
      world.log.warn('Mesos did not', { host: hostname, call: call.type, reason: message });
    }
  }

  #agreed(hostname: string): void {
    if (this.#refused.delete(hostname)) this.#options.onRefusal(hostname);
  }
}

/** What Mesos has to be told now. */
function nextCall(world: World, host: Host, agent: Agent): Call | undefined {
  const { drain: asked, hostname } = host.spec;
  const agent_id = { value: agent.agentId };
  if (!asked) {
    const isOurs = host.status?.drain?.agentDrained === true && agent.isDrained;
    return isOurs ? { type: 'REACTIVATE_AGENT', reactivate_agent: { agent_id } } : undefined;
  }
  const drain = drainOf(world, hostname);
  // An agent with a maintenance window cannot be drained.
  if (drain?.cause !== 'Spec' || agent.isDraining) return undefined;
  const leftMs = (drain.deadlineMs ?? Number.POSITIVE_INFINITY) - world.clock.now();
  if (leftMs > 0 && leftOn(world, hostname).length > 0) return undefined;
  const seconds = Math.max(0, Math.ceil(leftMs / 1000));
  const grace = Number.isFinite(seconds) ? { max_grace_period: { seconds } } : {};
  return { type: 'DRAIN_AGENT', drain_agent: { agent_id, ...grace, mark_gone: asked.markGone } };
}
