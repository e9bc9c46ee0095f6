/**
 * The registry: the only thing that a master remembers over a restart. One file, replaced as a whole, so that a kill at any moment
 * leaves the old or the new one.
 */
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { AgentInfo } from '#mesos/types.ts';

interface RegistryFile {
  readonly admitted: readonly AgentInfo[];
  /** Agent id and when it became unreachable, milliseconds since 1970. */
  readonly unreachable: readonly (readonly [id: string, since: number])[];
  readonly gone: readonly string[];
}

const emptyFile: RegistryFile = { admitted: [], unreachable: [], gone: [] };
/** Mesos forgets unreachable and gone agents beyond 102,400; fewer are enough here. */
const maxForgotten = 10_000;

export class Registry {
  readonly #path: string;
  readonly #admitted: Map<string, AgentInfo>;
  readonly #unreachable: Map<string, number>;
  readonly #gone: Set<string>;

  constructor(workDir: string) {
    mkdirSync(workDir, { recursive: true });
    this.#path = join(workDir, 'registry.json');
    const file = readIfThere(this.#path);
    this.#admitted = new Map(file.admitted.map((info) => [info.id!.value, info]));
    this.#unreachable = new Map(file.unreachable);
    this.#gone = new Set(file.gone);
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
    this.#gone.add(id);
    trim(this.#gone);
    this.#store();
  }

  remove(id: string): void {
    this.#admitted.delete(id);
    this.#store();
  }

  #store(): void {
    const file: RegistryFile = {
      admitted: [...this.#admitted.values()],
      unreachable: [...this.#unreachable],
      gone: [...this.#gone],
    };
    writeFileSync(`${this.#path}.new`, JSON.stringify(file));
    renameSync(`${this.#path}.new`, this.#path);
  }
}

function readIfThere(path: string): RegistryFile {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as RegistryFile;
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
