/**
 * The registry: the only thing that a master remembers over a restart. One file, replaced as a whole, so that a kill at any moment
 * leaves the old or the new one.
 */
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseLossless, stringifyLossless } from '#mesos/json.ts';
import type { AgentInfo, Unavailability } from '#mesos/types.ts';

export interface MachineId {
  readonly hostname?: string;
  readonly ip?: string;
}

export interface Window {
  readonly machine_ids?: readonly MachineId[];
  readonly unavailability: Unavailability;
}

/** Machines that are neither scheduled nor down are not in it. */
export interface MaintenanceState {
  readonly windows: readonly Window[];
  readonly down: readonly MachineId[];
}

export interface DrainInfo {
  readonly state: 'DRAINING' | 'DRAINED';
  readonly config: {
    readonly max_grace_period?: { readonly nanoseconds: number };
    readonly mark_gone?: boolean;
  };
}

export interface QuotaConfig {
  readonly role: string;
  readonly limits?: Readonly<Record<string, { readonly value: number }>>;
}

interface RegistryFile {
  /** Id of the master that may write, where several share it. */
  readonly owner?: string;
  readonly admitted: readonly AgentInfo[];
  /** Agent id and when it became unreachable, milliseconds since 1970. */
  readonly unreachable: readonly (readonly [id: string, since: number])[];
  readonly gone: readonly string[];
  readonly maintenance?: MaintenanceState;
  readonly weights?: readonly (readonly [role: string, weight: number])[];
  readonly quota?: readonly QuotaConfig[];
  /** Agents that get no offers: drained ones with what was asked. */
  readonly deactivated?: readonly (readonly [id: string, drain: DrainInfo | true])[];
}

const emptyFile: RegistryFile = { admitted: [], unreachable: [], gone: [] };
/** Mesos forgets unreachable and gone agents beyond 102,400; fewer are enough here. */
const maxForgotten = 10_000;

export class RegistryLostError extends Error {}

export class Registry {
  readonly #path: string;
  #owner: string | undefined;
  #admitted = new Map<string, AgentInfo>();
  #unreachable = new Map<string, number>();
  #gone = new Set<string>();
  #deactivated = new Map<string, DrainInfo | true>();
  #weights = new Map<string, number>();
  #quota = new Map<string, QuotaConfig>();
  #maintenance: MaintenanceState = { windows: [], down: [] };

  constructor(workDir: string) {
    mkdirSync(workDir, { recursive: true });
    this.#path = join(workDir, 'registry.json');
    this.#load();
  }

  /** Reads what the leader before has written, and from now on writes only as long as no other master has claimed it. */
  claim(owner: string): void {
    this.#load();
    this.#owner = owner;
    this.#write();
  }

  #load(): void {
    const file = readIfThere(this.#path);
    this.#admitted = new Map(file.admitted.map((info) => [info.id!.value, info]));
    this.#unreachable = new Map(file.unreachable);
    this.#gone = new Set(file.gone);
    this.#deactivated = new Map(file.deactivated);
    this.#weights = new Map(file.weights);
    this.#quota = new Map(file.quota?.map((config) => [config.role, config]));
    this.#maintenance = file.maintenance ?? { windows: [], down: [] };
  }

  get maintenance(): MaintenanceState {
    return this.#maintenance;
  }

  setMaintenance(maintenance: MaintenanceState): void {
    this.#maintenance = maintenance;
    this.#store();
  }

  /** By role, as far as they were set. */
  get weights(): ReadonlyMap<string, number> {
    return this.#weights;
  }

  setWeights(weights: readonly (readonly [role: string, weight: number])[]): void {
    for (const [role, weight] of weights) this.#weights.set(role, weight);
    this.#store();
  }

  get quota(): ReadonlyMap<string, QuotaConfig> {
    return this.#quota;
  }

  setQuota(configs: readonly QuotaConfig[]): void {
    for (const config of configs) {
      if (config.limits === undefined) this.#quota.delete(config.role);
      else this.#quota.set(config.role, config);
    }
    this.#store();
  }

  isDeactivated(id: string): boolean {
    return this.#deactivated.has(id);
  }

  drainOf(id: string): DrainInfo | undefined {
    const deactivated = this.#deactivated.get(id);
    return deactivated === true ? undefined : deactivated;
  }

  setDeactivated(id: string, deactivated: DrainInfo | boolean): void {
    if (deactivated === false) this.#deactivated.delete(id);
    else this.#deactivated.set(id, deactivated);
    this.#store();
  }

  get admitted(): Iterable<AgentInfo> {
    return this.#admitted.values();
  }

  isGone(id: string): boolean {
    return this.#gone.has(id);
  }

  unreachableSince(id: string): number | undefined {
    return this.#unreachable.get(id);
  }

  /** Returns once the agent's admission is stored; before that nobody may hear of it. */
  admit(info: AgentInfo): void {
    const id = info.id!.value;
    this.#unreachable.delete(id);
    this.#admitted.set(id, info);
    this.#store();
  }

  markUnreachable(id: string, since: number): void {
    this.#admitted.delete(id);
    this.#unreachable.set(id, since);
    trim(this.#unreachable);
    this.#store();
  }

  markGone(id: string): void {
    this.#admitted.delete(id);
    this.#unreachable.delete(id);
    this.#deactivated.delete(id);
    this.#gone.add(id);
    trim(this.#gone);
    this.#store();
  }

  remove(id: string): void {
    this.#admitted.delete(id);
    this.#deactivated.delete(id);
    this.#store();
  }

  /** Throws RegistryLostError where another master leads by now: nothing that was decided here holds. */
  #store(): void {
    if (this.#owner !== undefined && readIfThere(this.#path).owner !== this.#owner)
      throw new RegistryLostError(`The registry ${this.#path} belongs to another master now`);
    this.#write();
  }

  #write(): void {
    const file: RegistryFile = {
      ...(this.#owner !== undefined && { owner: this.#owner }),
      admitted: [...this.#admitted.values()],
      unreachable: [...this.#unreachable],
      gone: [...this.#gone],
      maintenance: this.#maintenance,
      weights: [...this.#weights],
      quota: [...this.#quota.values()],
      deactivated: [...this.#deactivated],
    };
    writeFileSync(`${this.#path}.new`, stringifyLossless(file));
    renameSync(`${this.#path}.new`, this.#path);
  }
}

function readIfThere(path: string): RegistryFile {
  try {
    return parseLossless(readFileSync(path, 'utf8')) as RegistryFile;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return emptyFile;
    throw new Error(`Cannot read the registry ${path}; restore it, or remove it to forget all agents`, {
      cause: error,
    });
  }
}

function trim(collection: Map<string, unknown> | Set<string>): void {
  const [oldest] = collection.keys();
  if (collection.size > maxForgotten && oldest !== undefined) collection.delete(oldest);
}
