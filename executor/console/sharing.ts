/**
 * Who of several clients of one machine may type. The newest may; those before it read along, and the one before has its turn again when
 * it leaves. So a connection that is dead without anybody knowing keeps nobody out.
 */
export class Sharing<T> {
  readonly #clients: T[] = [];
  readonly #told: (client: T, mayType: boolean) => void;

  /** Calls `told` when a client that stays loses its turn or has it again. */
  constructor(told: (client: T, mayType: boolean) => void = () => undefined) {
    this.#told = told;
  }

  get size(): number {
    return this.#clients.length;
  }

  /** Who only reads need not join. */
  join(client: T): void {
    const before = this.#clients.at(-1);
    this.#clients.push(client);
    if (before !== undefined) this.#told(before, false);
  }

  leave(client: T): void {
    const at = this.#clients.indexOf(client);
    if (at < 0) return;
    const had = this.mayType(client);
    this.#clients.splice(at, 1);
    const next = this.#clients.at(-1);
    if (had && next !== undefined) this.#told(next, true);
  }

  mayType(client: T): boolean {
    return this.#clients.at(-1) === client;
  }
}
