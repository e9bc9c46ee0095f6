/**
 * What a cluster server may say to Mesos, and when, held against what it has heard: calls within a session only, which only the holder of
 * the lease opens; launches only after reconciling, on offers of the session, with their intents stored; no acknowledgement of what is
 * not stored; nobody's task killed that somebody may still want.
 */
import { Lease } from '#lib/api/core.ts';
import { tombstoneOf } from '#lib/api/forgotten.ts';
import { Host, type VirtualMachine } from '#lib/api/generated/index.ts';
import { clusterServerLease, parseTaskId, systemNamespace } from '#lib/api/names.ts';
import { kindId } from '#lib/client/kind-id.ts';
import { decodeData } from '#mesos/bytes.ts';
import { sumMilli } from '#mesos/resources.ts';
import {
  type ExecutorCall,
  isTerminal,
  type Offer,
  type SchedulerCall,
  type SchedulerEvent,
  type TaskInfo,
} from '#mesos/types.ts';
import type { Life } from './life.ts';
import type { Ears, Request } from './network.ts';
import { type Overheard, recordsOf } from './records.ts';
import { clusterName, type World } from './world.ts';

type Call<T extends SchedulerCall['type']> = Extract<SchedulerCall, { type: T }>;

interface Held {
  readonly offer: Offer;
  readonly sinceMs: number;
}

interface Session extends Overheard {
  readonly request: Request;
  readonly streamId: string | undefined;
  open: boolean;
  closedMs: number;
  reconciled: boolean;
  /** All of this session, also those that are used up. */
  readonly offers: Map<string, Offer>;
  readonly held: Map<string, Held>;
  readonly used: Set<string>;
}

/** Mesos' calls may wait for a while in a queue of ours; offers are let go of after two minutes. */
const offersHeldMs = 200_000;
const mostOffersHeld = 16;
/** Who was stopped (SIGSTOP) needs a moment to see that it has lost the lease. */
const noticeMs = 15_000;
/** An unowned task is looked at for five minutes; we look every two. */
const quarantineMs = 150_000;

export class Sessions implements Ears {
  readonly #world: World;
  readonly #machine: (uid: string) => VirtualMachine | undefined;
  readonly #sessions = new Map<Life, Session>();
  /** Uuids of updates that prove the end of a task, with the task. */
  readonly #proofs = new Map<string, string>();
  readonly #agentOf = new Map<string, string>();
  /** When each task was last seen to be a live attempt's. */
  readonly #ownedMs = new Map<string, number>();
  /** Tasks that were ever ordered to end; whether they might be is judged at that moment. */
  readonly killed = new Set<string>();
  /** Tasks of which their executors have said so: a kill on the way to them meets nothing. */
  readonly #over = new Set<string>();
  /** RECONCILE calls that name tasks. */
  questions = 0;

  constructor(world: World, machine: (uid: string) => VirtualMachine | undefined) {
    this.#world = world;
    this.#machine = machine;
  }

  sent(client: Life, request: Request): void {
    if (request.path === '/api/v1/executor') this.#executorSaid(request.body);
    if (request.path !== '/api/v1/scheduler') return;
    const call = JSON.parse(request.body) as SchedulerCall;
    const session = this.#sessions.get(client);
    const isOpen = session?.open || session?.closedMs === this.#world.clock.monotonic();
    if (call.type === 'SUBSCRIBE') this.#subscribes(client);
    else if (session && isOpen && session.streamId === request.headers['mesos-stream-id'])
      this.#said(client, session, call);
    else this.#fail(`${client.name} sends ${call.type} outside of a session`);
  }

  #executorSaid(body: string): void {
    if (!body.includes('"state"')) return;
    const call = JSON.parse(body) as ExecutorCall;
    // What was lost on the way is said again by the next SUBSCRIBE.
    const updates = call.type === 'SUBSCRIBE' ? call.subscribe.unacknowledged_updates : [];
    for (const { status } of call.type === 'UPDATE' ? [call.update] : updates)
      if (isTerminal(status.state)) this.#over.add(status.task_id.value);
  }

  heard(client: Life, request: Request, headers: Readonly<Record<string, string>>, piece: Buffer): void {
    if (request.path !== '/api/v1/scheduler' || !request.body.includes('"type":"SUBSCRIBE"')) return;
    const session = this.#sessionOf(client, request, headers['mesos-stream-id']);
    for (const event of recordsOf(session, piece)) this.#told(session, event as SchedulerEvent);
  }

  closed(client: Life, request: Request): void {
    const session = this.#sessions.get(client);
    if (session?.request !== request || !session.open) return;
    session.open = false;
    session.closedMs = this.#world.clock.monotonic();
  }

  /** What must hold at every moment. */
  check(machines: readonly VirtualMachine[]): void {
    const nowMs = this.#world.clock.monotonic();
    for (const { status } of machines)
      for (const place of [status?.attempt, status?.migration])
        if (place?.taskID) this.#ownedMs.set(place.taskID, nowMs);
    for (const [life, { open, held }] of this.#sessions) {
      if (life.dead) this.#sessions.delete(life);
      if (life.dead || life.stopped || !open) continue;
      if (held.size > mostOffersHeld) this.#fail(`${life.name} holds ${held.size} offers`);
      for (const [id, { sinceMs }] of held)
        if (nowMs - Math.max(sinceMs, life.runningSinceMs) > offersHeldMs)
          this.#fail(`${life.name} has held offer ${id} for ${nowMs - sinceMs} ms`);
    }
  }

  /** Ids of offers that are held now. */
  heldOffers(): readonly string[] {
    return [...this.#sessions].flatMap(([life, { open, held }]) => (open && !life.dead ? [...held.keys()] : []));
  }

  #sessionOf(client: Life, request: Request, streamId: string | undefined): Session {
    const known = this.#sessions.get(client);
    if (known?.request === request) return known;
    const session: Session = {
      ...{ request, streamId, open: false, closedMs: -1, reconciled: false, rest: Buffer.alloc(0) },
      ...{ offers: new Map(), held: new Map(), used: new Set() },
    };
    this.#sessions.set(client, session);
    return session;
  }

  #told(session: Session, event: SchedulerEvent): void {
    if (event.type === 'SUBSCRIBED') session.open = true;
    if (event.type === 'RESCIND') session.held.delete(event.rescind.offer_id.value);
    if (event.type === 'OFFERS')
      for (const offer of event.offers.offers) {
        session.offers.set(offer.id.value, offer);
        session.held.set(offer.id.value, { offer, sinceMs: this.#world.clock.monotonic() });
      }
    if (event.type !== 'UPDATE') return;
    const { uuid, data, task_id } = event.update.status;
    if (uuid && data && (decodeData(data) as { domainAbsent?: boolean }).domainAbsent)
      this.#proofs.set(uuid, task_id.value);
  }

  #subscribes(client: Life): void {
    if (!this.#leads(client) && !this.#justWoke(client))
      this.#fail(`${client.name} subscribes, and another has the lease`);
  }

  #leads(client: Life): boolean {
    const name = `${systemNamespace}/${clusterServerLease(clusterName)}`;
    const lease = this.#world.api.store.get(kindId(Lease), name) as Lease | undefined;
    return lease?.spec?.holderIdentity === client.identity;
  }

  /** Was stopped until now, and cannot know any better. */
  #justWoke({ runningSinceMs }: Life): boolean {
    return this.#world.clock.monotonic() - runningSinceMs < noticeMs && runningSinceMs > 0;
  }

  #said(client: Life, session: Session, call: Exclude<SchedulerCall, { type: 'SUBSCRIBE' }>): void {
    if (call.type === 'ACCEPT') this.#accepts(client, session, call.accept);
    if (call.type === 'DECLINE') this.#uses(client, session, call.decline.offer_ids);
    if (call.type === 'ACKNOWLEDGE') this.#acknowledges(call.acknowledge.uuid);
    if (call.type === 'KILL') this.#kills(client, call.kill.task_id.value);
    if (call.type !== 'RECONCILE') return;
    if ((call.reconcile.tasks ?? []).length > 0) this.questions++;
    else session.reconciled = true;
  }

  #uses(client: Life, { offers, held, used }: Session, ids: readonly { readonly value: string }[]): void {
    for (const { value } of ids) {
      if (!offers.has(value)) this.#fail(`${client.name} uses offer ${value}, which is of no present session`);
      if (used.has(value)) this.#fail(`${client.name} uses offer ${value} twice`);
      used.add(value);
      held.delete(value);
    }
  }

  #accepts(client: Life, session: Session, accept: Call<'ACCEPT'>['accept']): void {
    this.#uses(client, session, accept.offer_ids);
    const tasks = (accept.operations ?? []).flatMap((each) =>
      each.type === 'LAUNCH' ? (each as { launch: { task_infos: readonly TaskInfo[] } }).launch.task_infos : [],
    );
    if (tasks.length > 0 && !session.reconciled) this.#fail(`${client.name} launches before it has reconciled`);
    for (const task of tasks) this.#launched(task.task_id.value, task.agent_id.value);
    const offers = accept.offer_ids.flatMap(({ value }) => session.offers.get(value) ?? []);
    this.#fits(tasks, offers);
  }

  #fits(tasks: readonly TaskInfo[], offers: readonly Offer[]): void {
    const executor = tasks[0]?.executor;
    const known = offers.some(({ executor_ids }) =>
      executor_ids?.some(({ value }) => value === executor?.executor_id.value),
    );
    for (const name of ['cpus', 'mem']) {
      const offered = offers.reduce((sum, { resources }) => sum + sumMilli(resources, name), 0);
      const asked = tasks.reduce((sum, { resources }) => sum + sumMilli(resources, name), 0);
      const share = known || !executor ? 0 : sumMilli(executor.resources, name);
      if (asked + share > offered)
        this.#fail(`${tasks.length} tasks ask for ${asked + share} milli ${name} of ${offered} that are offered`);
    }
  }

  #launched(taskId: string, agentId: string): void {
    const known = this.#agentOf.get(taskId);
    if (known !== undefined && known !== agentId)
      this.#fail(`Task ${taskId} was launched on ${known}, now on ${agentId}`);
    this.#agentOf.set(taskId, agentId);
    const parsed = parseTaskId(taskId);
    const vm = parsed && this.#machine(parsed.uid);
    if (!vm || parsed.type !== 'machine') return;
    const { attempt, attempts = [], migration, lastMigration } = vm.status ?? {};
    const numbers = [attempt, ...attempts, migration, lastMigration].map((row) => row?.number);
    if (!numbers.includes(parsed.attempt)) this.#fail(`Task ${taskId} is launched, and no such attempt is stored`);
  }

  #acknowledges(uuid: string): void {
    const taskId = this.#proofs.get(uuid);
    const uid = taskId && parseTaskId(taskId)?.uid;
    const { attempt, migration } = (uid && this.#machine(uid)?.status) || {};
    if (uid && [attempt, migration].some((place) => place?.taskID === taskId))
      this.#fail(`The end of ${taskId} is acknowledged and not stored`);
  }

  #kills(client: Life, taskId: string): void {
    this.killed.add(taskId);
    // Mesos takes nothing from a session that another has taken over.
    if (this.#over.has(taskId) || (!this.#leads(client) && this.#justWoke(client))) return;
    const vm = this.#machine(parseTaskId(taskId)?.uid ?? '');
    if (this.#world.forgotten.has(taskId) || this.#isDisowned(vm, taskId) || this.#isLetGo(taskId)) return;
    if (!vm || vm.metadata.deletionTimestamp || vm.status?.attempt?.drain) return;
    if ([vm.status?.attempt, vm.status?.migration].some((place) => place?.taskID === taskId))
      this.#fail(`Task ${taskId} is killed, and its machine is wanted`);
    const sinceMs = this.#world.clock.monotonic() - (this.#ownedMs.get(taskId) ?? Number.NEGATIVE_INFINITY);
    if (sinceMs < quarantineMs)
      this.#fail(`Task ${taskId} is killed ${Math.round(sinceMs)} ms after it was a live attempt's`);
  }

  /** Its host did not answer: what is left of it there is removed as soon as it does. */
  #isLetGo(taskId: string): boolean {
    const { uid, attempt } = parseTaskId(taskId) ?? {};
    const hosts = this.#world.api.store.list(kindId(Host)) as readonly Host[];
    return hosts.some((host) => (tombstoneOf(host, uid)?.attempt ?? -1) >= (attempt ?? 0));
  }

  #isDisowned(vm: VirtualMachine | undefined, taskId: string): boolean {
    const place = [vm?.status?.attempt, vm?.status?.migration].find((each) => each?.taskID === taskId);
    return this.#world.hosts.some((each) => each.host.hostname === place?.host && each.disowns(taskId));
  }

  #fail(what: string): void {
    this.#world.failed(what);
  }
}
