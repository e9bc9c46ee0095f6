/** Keeps agents, the ledger's hosts and the Host objects in step. */
import { isDeepStrictEqual } from 'node:util';
import { Secret } from '#lib/api/core.ts';
import { Host } from '#lib/api/generated/host.ts';
import { apiVersionOf, ownerReference } from '#lib/api/meta.ts';
import { consoleSecretName, group, hostObjectName, systemNamespace } from '#lib/api/names.ts';
import { isCode, messageOf } from '#lib/std/errors.ts';
import type { OperatorClient } from '#mesos/operator.ts';
import type { Agent } from './agents.ts';
import { isSoon } from './drain.ts';
import { drainOf, leftOn, noticeMs } from './drains.ts';
import { isAlive, silentAfterMs } from './executor-book.ts';
import { hostStatus } from './host-status.ts';
import { storageFault } from './host-storage.ts';
import type { LedgerHost } from './ledger.ts';
import { type Reach, reachOf, readReach } from './needs.ts';
import { executorShare } from './overhead.ts';
import { noRoom } from './room.ts';
import type { World } from './world.ts';

/** News of a host are written at once, but not those of one that flaps. */
const newsPaceMs = 1_000;
/** Figures of a host change with every machine, and machines come and go by the dozen: figures wait for those that follow. */
const figuresWaitMs = 10_000;
/** Writes at once: thousands of hosts may be due together, and an API server refuses those that it has no room for. */
const writers = 16;

export interface HostsOptions {
  readonly world: World;
  readonly operator: OperatorClient;
  /** It came, went, or has another agent. */
  readonly onChanged: (hostname: string) => void;
  /** It is to be emptied from now on, or in another way, or no longer. */
  readonly onDrain: (hostname: string) => void;
  /** `write` has something to look at. */
  readonly onTouched: () => void;
}

/** What others know of a host. */
export interface Told {
  /** Domains of ours that no machine claims. */
  readonly strays: (hostname: string) => number;
  /** Why Mesos would not drain its agent, or reactivate it. */
  readonly refusal: (hostname: string) => string | undefined;
}

export class Hosts {
  readonly #world: World;
  readonly #operator: OperatorClient;
  readonly #onChanged: (hostname: string) => void;
  readonly #onDrain: (hostname: string) => void;
  /** Host -> the drain that its machines were last told of. */
  readonly #drains = new Map<string, string>();
  readonly #writtenMs = new Map<string, number>();
  /** Since when figures have waited to be written. */
  readonly #figuresSinceMs = new Map<string, number>();
  readonly #secrets = new Map<string, string>();
  /** Hosts whose objects may read differently now; monotonic: those that were looked at may wait until then. */
  readonly #dirty = new Map<string, number>();
  readonly #onTouched: () => void;
  #isScheduleRead = true;
  #refreshing: Promise<void> | undefined;

  constructor({ world, operator, onChanged, onDrain, onTouched }: HostsOptions) {
    this.#world = world;
    this.#operator = operator;
    this.#onChanged = onChanged;
    this.#onDrain = onDrain;
    this.#onTouched = onTouched;
  }

  /** Asks the master for its agents. Calls made meanwhile share the answer of one more request at most. */
  async refresh(): Promise<void> {
    this.#refreshing ??= this.#ask().finally(() => {
      this.#refreshing = undefined;
    });
    return await this.#refreshing;
  }

  async #ask(): Promise<void> {
    const { agents, clock, executors } = this.#world;
    const known = new Set(agents.all().map(({ hostname }) => hostname));
    const changed = agents.replace((await this.#operator.agents()).agents ?? [], clock.monotonic());
    await this.#readSchedule();
    // Under another agent id the old executor, if it lives, is nobody's: what runs there is to be found anew.
    for (const hostname of changed) if (known.has(hostname)) executors.lost(hostname, clock.monotonic());
    for (const { hostname } of agents.all()) this.update(hostname);
    // What is planned for a host that is down is told as well.
    for (const { spec } of this.#world.hosts.list()) this.touch(spec.hostname);
    for (const hostname of changed) {
      this.update(hostname);
      this.#onChanged(hostname);
    }
  }

  /** Where it cannot be read, what offers say has to do. */
  async #readSchedule(): Promise<void> {
    const { agents, clock, log, windows } = this.#world;
    try {
      const { schedule } = await this.#operator.schedule();
      windows.replace(schedule.windows ?? [], (hostname) => agents.get(hostname)?.address, clock.now());
      this.#isScheduleRead = true;
    } catch (error) {
      if (this.#isScheduleRead) log.warn('The maintenance schedule was not read', { reason: messageOf(error) });
      this.#isScheduleRead = false;
    }
  }

  /** The object of this host is to be looked at by the next `write`. */
  touch(hostname: string): void {
    this.#dirty.set(hostname, Number.NEGATIVE_INFINITY);
    this.#onTouched();
  }

  get hasWork(): boolean {
    return this.#dirty.size > 0;
  }

  /** Brings the ledger up to date with what is known of a host. */
  update(hostname: string): void {
    const { agents, ledger, placement } = this.#world;
    this.touch(hostname);
    this.#noticeDrain(hostname);
    placement.setReach(hostname, this.#reach(hostname));
    const agent = agents.get(hostname);
    if (agent) {
      ledger.setHost(this.#ledgerHost(agent));
      return;
    }
    const view = ledger.view(hostname);
    if (view) ledger.setHost({ ...view.host, readiness: 'Unreachable' });
  }

  /** A drain may begin by time alone, or by an operator's word to Mesos: then its machines are to be looked at. */
  #noticeDrain(hostname: string): void {
    const drain = JSON.stringify(drainOf(this.#world, hostname));
    if (drain === this.#drains.get(hostname)) return;
    if (drain === undefined) this.#drains.delete(hostname);
    else this.#drains.set(hostname, drain);
    this.#onDrain(hostname);
  }

  #ledgerHost(agent: Agent): LedgerHost {
    const { hosts, executors, cluster } = this.#world;
    const foreign = executors.get(agent.hostname)?.inventory?.content.foreign;
    const host = hosts.get(hostObjectName(cluster, agent.hostname));
    return {
      hostname: agent.hostname,
      agentId: agent.agentId,
      labels: { ...agent.attributes, ...host?.spec.labels },
      ...(host?.spec.taints && { taints: host.spec.taints }),
      total: agent.total,
      readiness: this.#readiness(agent),
      foreign: foreign ? { cpu: foreign.cores * 1000, mem: foreign.memoryMiB * 1000 } : noRoom,
    };
  }

  /**
   * What an executor told that does not speak any more holds no longer: the configuration may be changed meanwhile, and only a machine brings
   * the executor back. Who has just started goes by what our predecessor wrote, until the executor could be heard.
   */
  #reach(hostname: string): Reach | undefined {
    const { executors, clock, startedMs, hosts, cluster } = this.#world;
    const executor = executors.get(hostname);
    if (isAlive(executor, clock.monotonic())) return reachOf(executor.heartbeat);
    if (executor || clock.monotonic() >= startedMs + silentAfterMs) return undefined;
    const { facts } = hosts.get(hostObjectName(cluster, hostname))?.status ?? {};
    return facts && readReach(facts);
  }

  #readiness({ hostname, active, isDeactivated }: Agent): LedgerHost['readiness'] {
    const { hosts, clusters, executors, cluster, clock, windows } = this.#world;
    const host = hosts.get(hostObjectName(cluster, hostname));
    const executor = executors.get(hostname);
    if (!active) return 'Unreachable';
    if (drainOf(this.#world, hostname)) return 'Draining';
    if (isSoon(windows.get(hostname, clock.now()), noticeMs(this.#world), clock.now())) return 'Maintenance';
    if (this.#world.suspects.suspect(hostname)) return 'Suspect';
    if (isAlive(executor, clock.monotonic()) && storageFault(executor.heartbeat)) return 'StorageDown';
    if (isDeactivated || host?.spec.unschedulable || clusters.get(cluster)?.spec.unschedulable) return 'Cordoned';
    // What was let go may run there, and has no room in the books.
    if (host?.status?.pendingCleanup?.length) return 'NotInventoried';
    if (isAlive(executor, clock.monotonic()) && executor.inventory) return 'Ready';
    const hadExecutor = executor !== undefined || host?.status?.bootID !== undefined;
    return hadExecutor ? 'Unproven' : 'Ready';
  }

  /** Writes the Host objects that were touched and read differently. To be called every second or so. */
  async write({ strays, refusal }: Told): Promise<void> {
    const nowMs = this.#world.clock.monotonic();
    const names = [...this.#dirty].filter(([, dueMs]) => dueMs <= nowMs).map(([hostname]) => hostname);
    for (const hostname of names) this.#dirty.delete(hostname);
    const left = names.values();
    const work = async () => {
      for (const hostname of left) await this.#writeOne(hostname, strays(hostname), refusal(hostname));
    };
    await Promise.all(Array.from({ length: writers }, work));
  }

  async #writeOne(hostname: string, strays: number, refusal: string | undefined): Promise<void> {
    try {
      const host = this.#world.hosts.get(hostObjectName(this.#world.cluster, hostname));
      if (host) await this.#writeStatus(host, strays, refusal);
      else if (this.#world.agents.get(hostname)) await this.#create(hostname);
      await this.#writeConsole(hostname);
    } catch (error) {
      this.touch(hostname);
      if (!isCode(error, 'Conflict', 'NotFound', 'AlreadyExists'))
        this.#world.log.warn('Host not written', { host: hostname, reason: messageOf(error) });
    }
  }

  async #create(hostname: string): Promise<void> {
    const { client, cluster } = this.#world;
    const metadata = { name: hostObjectName(cluster, hostname), labels: { [`${group}/cluster`]: cluster } };
    await client.create(Host, { apiVersion: apiVersionOf(Host), kind: 'Host', metadata, spec: { cluster, hostname } });
  }

  async #writeStatus(host: Host, strays: number, refusal: string | undefined): Promise<void> {
    const { agents, client, clusters, clock, executors, ledger, cluster, suspects, windows } = this.#world;
    const { hostname } = host.spec;
    const monotonicMs = clock.monotonic();
    const window = windows.get(hostname, clock.now());
    const notice = noticeMs(this.#world);
    const status = hostStatus({
      host,
      agent: agents.get(hostname),
      executor: executors.get(hostname),
      view: ledger.view(hostname),
      drain: drainOf(this.#world, hostname),
      left: leftOn(this.#world, hostname),
      window,
      soon: isSoon(window, notice, clock.now()),
      noticeMs: notice,
      suspect: suspects.suspect(hostname),
      score: suspects.score(hostname),
      strays,
      refusal,
      executorShare: executorShare(clusters.get(cluster)!.spec.executor),
      nowMs: clock.now(),
      monotonicMs,
    });
    const { lastHeartbeat: _is, ...is } = status;
    const { lastHeartbeat: _was, ...was } = host.status ?? {};
    // A heartbeat alone is not stored: that it comes is what the conditions say, and its end is news.
    if (isDeepStrictEqual(is, was)) return void this.#figuresSinceMs.delete(hostname);
    if (this.#isListening(host, status)) return void this.#dirty.set(hostname, this.#world.startedMs + silentAfterMs);
    const dueMs = this.#dueMs(hostname, isNews(status, host.status), monotonicMs);
    if (monotonicMs < dueMs) return void this.#dirty.set(hostname, dueMs);
    this.#world.hosts.wrote(await client.updateStatus(Host, { ...host, status }));
    this.#writtenMs.set(hostname, monotonicMs);
    this.#figuresSinceMs.delete(hostname);
  }

  /**
   * Who has just started has not heard its executor yet. That a host is ready, as our predecessor wrote, holds until the executor has said
   * what it has, or would count as silent: else every start would make all hosts unready for a moment.
   */
  #isListening({ spec, status: was }: Host, is: NonNullable<Host['status']>): boolean {
    const { clock, executors, startedMs } = this.#world;
    const { inventory, lostMs } = executors.get(spec.hostname) ?? {};
    const isKnown = inventory !== undefined || lostMs !== undefined;
    if (isKnown || clock.monotonic() >= startedMs + silentAfterMs) return false;
    const wasKnown = was?.displayStatus === 'Ready' && was.executor !== undefined && was.agentID === is.agentID;
    return wasKnown && (is.displayStatus === 'Ready' || is.displayStatus === 'NotInventoried');
  }

  #dueMs(hostname: string, news: boolean, nowMs: number): number {
    if (news) return (this.#writtenMs.get(hostname) ?? Number.NEGATIVE_INFINITY) + newsPaceMs;
    const sinceMs = this.#figuresSinceMs.get(hostname) ?? nowMs;
    this.#figuresSinceMs.set(hostname, sinceMs);
    return sinceMs + figuresWaitMs;
  }

  /** Whoever may read Secrets of cf-system may open consoles. The token lives as long as the worker that made it. */
  async #writeConsole(hostname: string): Promise<void> {
    const console = this.#world.executors.get(hostname)?.heartbeat.console;
    const host = this.#world.hosts.get(hostObjectName(this.#world.cluster, hostname));
    if (!console || !host || this.#secrets.get(hostname) === console.token) return;
    const encode = (text: string) => Buffer.from(text, 'utf8').toString('base64');
    const data = {
      url: encode(console.url),
      token: encode(console.token),
      certificateSha256: encode(console.certificateSha256),
    };
    const name = consoleSecretName(host.metadata.name);
    const metadata = { name, namespace: systemNamespace, ownerReferences: [ownerReference(host)] };
    try {
      await this.#world.client.create(Secret, { apiVersion: 'v1', kind: 'Secret', metadata, type: 'Opaque', data });
    } catch (error) {
      if (!isCode(error, 'AlreadyExists')) throw error;
      await this.#world.client.patch(Secret, { name, namespace: systemNamespace }, { data });
    }
    this.#secrets.set(hostname, console.token);
  }
}

/** Whether more than figures differ. */
function isNews(is: NonNullable<Host['status']>, was: Host['status']): boolean {
  return (['conditions', 'displayStatus', 'agentID', 'bootID', 'executor', 'facts'] as const).some(
    (field) => !isDeepStrictEqual(is[field], was?.[field]),
  );
}
