/** JSON files that appear whole or not at all, so that the imitated host survives kill -9 as libvirtd's domains do. */
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

export class JsonDirectory<T> {
  readonly #directory: string;
  readonly #cache = new Map<string, T>();

  /** Reads what is there. Files that a kill left half written have another ending and are removed. */
  constructor(directory: string) {
    this.#directory = directory;
    mkdirSync(directory, { recursive: true });
    for (const name of readdirSync(directory)) {
      const path = join(directory, name);
      if (name.endsWith('.json')) this.#cache.set(name.slice(0, -5), JSON.parse(readFileSync(path, 'utf8')) as T);
      else rmSync(path, { force: true });
    }
  }

  get(name: string): T | undefined {
    return this.#cache.get(name);
  }

  entries(): IterableIterator<[string, T]> {
    return this.#cache.entries();
  }

  set(name: string, value: T): void {
    const path = join(this.#directory, `${name}.json`);
    writeFileSync(`${path}.new`, JSON.stringify(value));
    renameSync(`${path}.new`, path);
    this.#cache.set(name, value);
  }

  delete(name: string): void {
    rmSync(join(this.#directory, `${name}.json`), { force: true });
    this.#cache.delete(name);
  }
}
