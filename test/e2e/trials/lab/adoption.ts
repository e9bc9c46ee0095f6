/**
 * How long it takes from the end of a fault until the machines of that host are in our hands again, as their objects and their Host say:
 * the worker that runs now has introduced itself, and every machine that was ready before is reachable and ready.
 */
import { isTrue } from '#lib/api/conditions.ts';
import { Host, VirtualMachine } from '#lib/api/generated/index.ts';
import { systemClock } from '#lib/std/clock.ts';
import { messageOf } from '#lib/std/errors.ts';
import { namespace } from '../faults/churn.ts';
import { executorProcesses } from '../processes/targets.ts';
import type { Lab } from './cluster.ts';
import type { Ledger } from './ledger.ts';
import type { LabKind } from './targets.ts';

export const adoptedWithinMs = 15_000;
const givenUpMs = 120_000;
const lookEveryMs = 200;
/** Of ours: what these do to a host has to be mended by adoption. */
const ours: readonly LabKind[] = ['worker', 'supervisor', 'agent', 'libvirtd'];
const others: readonly LabKind[] = ['host', 'wire', 'brick'];

interface Before {
  readonly since: string | undefined;
  readonly worker: string | undefined;
  /** uid of each that was ready: how often it had been disturbed. */
  readonly ready: ReadonlyMap<string, number>;
}

/** Faults of one host that are not over, or not got over. */
interface Episode {
  readonly before: Before;
  readonly kinds: LabKind[];
  under: number;
  measuring?: AbortController;
}

export interface Adoption {
  readonly host: string;
  readonly kinds: readonly LabKind[];
  readonly tookMs: number;
}

export class Adoptions {
  readonly #lab: Lab;
  readonly #ledger: Ledger;
  readonly #say: (line: string) => void;
  readonly #episodes = new Map<string, Episode>();
  readonly #measures = new Set<Promise<void>>();
  readonly done: Adoption[] = [];
  readonly failures: string[] = [];

  constructor(lab: Lab, ledger: Ledger, say: (line: string) => void) {
    this.#lab = lab;
    this.#ledger = ledger;
    this.#say = say;
  }

  /** Something is about to be done to this host. */
  async begin(host: string, kind: LabKind): Promise<void> {
    const known = this.#episodes.get(host);
    known?.measuring?.abort();
    const episode = known ?? { before: await this.#look(host), kinds: [], under: 0 };
    this.#episodes.set(host, this.#episodes.get(host) ?? episode);
    const its = this.#episodes.get(host)!;
    its.kinds.push(kind);
    its.under += 1;
  }

  /** It is over. With the last that is under way the time begins. */
  end(host: string): void {
    const episode = this.#episodes.get(host)!;
    episode.under -= 1;
    if (episode.under > 0) return;
    episode.measuring = new AbortController();
    const failed = (error: unknown) => void this.failures.push(`${host} could not be asked: ${messageOf(error)}`);
    const measure = this.#measure(host, episode, episode.measuring.signal)
      .catch(failed)
      .finally(() => this.#measures.delete(measure));
    this.#measures.add(measure);
  }

  /** Until nothing is being measured any more. */
  async idle(): Promise<void> {
    await Promise.all(this.#measures);
  }

  async #measure(host: string, episode: Episode, signal: AbortSignal): Promise<void> {
    const startMs = systemClock.monotonic();
    for (;;) {
      const left = await this.#missing(host, episode);
      // Another fault came: the time begins anew when that is over.
      if (signal.aborted) return;
      const tookMs = systemClock.monotonic() - startMs;
      if (left.length > 0 && tookMs < givenUpMs) {
        await systemClock.sleep(lookEveryMs, signal).catch(() => undefined);
        continue;
      }
      this.#episodes.delete(host);
      return this.#record({ host, kinds: episode.kinds, tookMs }, left);
    }
  }

  #record(adoption: Adoption, left: readonly string[]): void {
    const { host, kinds, tookMs } = adoption;
    this.done.push(adoption);
    const after = `${(tookMs / 1000).toFixed(1)} s after ${kinds.join(', ')}`;
    this.#say(left.length > 0 ? `${host} not adopted ${after}: ${left.join('; ')}` : `${host} adopted ${after}`);
    if (left.length > 0) this.failures.push(`${host} was not adopted ${after}: ${left.join('; ')}`);
    else if (isAdoption(adoption) && tookMs > adoptedWithinMs) this.failures.push(`${host} was adopted only ${after}`);
  }

  async #look(host: string): Promise<Before> {
    const { since, machines } = await this.#ask(host);
    const here = machines.filter((vm) => vm.status?.attempt?.host === host);
    const ready = here.filter((vm) => isTrue(vm, 'Ready')).map(({ metadata }) => metadata.uid);
    return {
      ...{ since, worker: this.#worker(host) },
      ready: new Map(ready.map((uid) => [uid, this.#ledger.disturbances(uid)])),
    };
  }

  /**
   * What of `before` is not so again. Of machines that are to go nothing is asked, nor of those that the trial itself has disturbed since;
   * but where the host had lost its power, those are the question.
   */
  async #missing(host: string, { before, kinds }: Episode): Promise<readonly string[]> {
    const { since: was, worker, ready } = before;
    const { since, isReady, machines } = await this.#ask(host);
    const now = this.#worker(host);
    const isAsked = (uid: string) =>
      kinds.includes('host') ? ready.has(uid) : ready.get(uid) === this.#ledger.disturbances(uid);
    return [
      ...(now === undefined ? ['there is no worker'] : []),
      ...(now !== worker && since === was ? ['the new worker has not introduced itself'] : []),
      ...(isReady ? [] : ['the host is not ready']),
      ...machines
        .filter(({ metadata }) => isAsked(metadata.uid) && metadata.deletionTimestamp === undefined)
        .filter((vm) => !isTrue(vm, 'Reachable') || !isTrue(vm, 'Ready'))
        .map(({ metadata, status }) => `${metadata.name} is ${status?.phase}`),
    ];
  }

  async #ask(name: string) {
    const { client } = this.#lab.cluster;
    const [hosts, all] = await Promise.all([client.list(Host), client.list(VirtualMachine, { namespace })]);
    const host = hosts.items.find(({ spec }) => spec.hostname === name);
    return {
      since: host?.status?.executor?.since,
      isReady: host !== undefined && isTrue(host, 'Ready'),
      machines: all.items,
    };
  }

  #worker(host: string): string | undefined {
    const [worker] = executorProcesses(this.#lab.cluster, host).workers;
    return worker && `${worker.pid}:${worker.startTime}`;
  }
}

/** Not where the host had lost its power, and machines have to boot; nor where their images were out of reach, and they stand still. */
export function isAdoption({ kinds }: Adoption): boolean {
  return kinds.some((kind) => ours.includes(kind)) && !kinds.some((kind) => others.includes(kind));
}
