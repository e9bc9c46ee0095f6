/** What an executor may say to an agent: nothing, once it has heard that this is another one than the one that started it. */
import type { ExecutorEvent } from '#mesos/types.ts';
import type { Life } from './life.ts';
import type { Ears, Request } from './network.ts';
import { type Overheard, recordsOf } from './records.ts';
import type { World } from './world.ts';

interface Subscription extends Overheard {
  readonly request: Request;
}

export class ExecutorSessions implements Ears {
  readonly #world: World;
  readonly #subscriptions = new Map<Life, Subscription>();
  /** The agent that each executor subscribed with first. An agent that has lost its directory has another id, at the same address. */
  readonly #agentOf = new Map<Life, string>();
  readonly #strangers = new Map<Life, string>();

  constructor(world: World) {
    this.#world = world;
  }

  sent(client: Life, { path, body }: Request): void {
    const stranger = this.#strangers.get(client);
    if (path !== '/api/v1/executor' || stranger === undefined) return;
    this.#world.failed(`${client.name} goes on with agent ${stranger}, which did not start it: ${body.slice(0, 60)}`);
  }

  heard(client: Life, request: Request, _headers: Readonly<Record<string, string>>, piece: Buffer): void {
    if (request.path !== '/api/v1/executor' || !request.body.includes('"type":"SUBSCRIBE"')) return;
    let subscription = this.#subscriptions.get(client);
    if (subscription?.request !== request) subscription = { request, rest: Buffer.alloc(0) };
    this.#subscriptions.set(client, subscription);
    for (const event of recordsOf(subscription, piece)) this.#told(client, event as ExecutorEvent);
  }

  closed(client: Life, request: Request): void {
    if (this.#subscriptions.get(client)?.request === request) this.#subscriptions.delete(client);
    if (!client.dead) return;
    this.#agentOf.delete(client);
    this.#strangers.delete(client);
  }

  #told(client: Life, event: ExecutorEvent): void {
    if (event.type !== 'SUBSCRIBED') return;
    const agentId = event.subscribed.agent_info.id!.value;
    const first = this.#agentOf.get(client);
    if (first === undefined) this.#agentOf.set(client, agentId);
    else if (first !== agentId) this.#strangers.set(client, agentId);
  }
}
