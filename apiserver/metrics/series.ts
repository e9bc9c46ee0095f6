/** Counters, gauges and histograms in Prometheus' text format. */

/** Values in the order of the names that the family was made with. */
export type Labels = readonly string[];

/**
 * Some label values come from clients: the names of kinds they install. What is over this many series of one family is counted under `other`
 * in every label, so that nobody can fill the memory with names.
 */
const maxSeries = 5_000;

export interface Description {
  readonly name: string;
  readonly help: string;
  readonly labels?: readonly string[];
}

abstract class Family<T> {
  readonly #description: Description;
  readonly #series = new Map<string, { readonly labels: Labels; readonly value: T }>();

  constructor(description: Description) {
    this.#description = description;
  }

  abstract readonly type: string;
  protected abstract fresh(): T;
  protected abstract lines(name: string, labels: readonly string[], value: T): string[];

  protected at(labels: Labels): T {
    const key = labels.join('\0');
    const known = this.#series.get(key);
    if (known) return known.value;
    const other = labels.map(() => 'other');
    if (this.#series.size >= maxSeries && key !== other.join('\0')) return this.at(other);
    const value = this.fresh();
    this.#series.set(key, { labels, value });
    return value;
  }

  text(): string {
    const { name, help, labels: names = [] } = this.#description;
    // What has no labels is there from the start, as 0.
    if (names.length === 0) this.at([]);
    const lines = [`# HELP ${name} ${help}`, `# TYPE ${name} ${this.type}`];
    for (const { labels, value } of this.#series.values())
      lines.push(
        ...this.lines(
          name,
          names.map((label, index) => `${label}="${escaped(labels[index] ?? '')}"`),
          value,
        ),
      );
    return `${lines.join('\n')}\n`;
  }
}

export class Counter extends Family<{ count: number }> {
  readonly type = 'counter';

  add(labels: Labels = [], count = 1): void {
    this.at(labels).count += count;
  }

  protected fresh() {
    return { count: 0 };
  }

  protected lines(name: string, labels: readonly string[], { count }: { count: number }) {
    return [`${name}${braces(labels)} ${count}`];
  }
}

export class Gauge extends Family<{ value: number }> {
  readonly type = 'gauge';

  set(value: number, labels: Labels = []): void {
    this.at(labels).value = value;
  }

  /** One more, until the result is disposed of. */
  enter(labels: Labels = []): Disposable {
    const series = this.at(labels);
    series.value++;
    let inside = true;
    return {
      [Symbol.dispose]() {
        if (inside) series.value--;
        inside = false;
      },
    };
  }

  protected fresh() {
    return { value: 0 };
  }

  protected lines(name: string, labels: readonly string[], { value }: { value: number }) {
    return [`${name}${braces(labels)} ${value}`];
  }
}

interface Distribution {
  readonly counts: number[];
  sum: number;
}

export class Histogram extends Family<Distribution> {
  readonly type = 'histogram';
  readonly #bounds: readonly number[];

  /** `bounds` rise; what is above the last counts as +Inf. */
  constructor(description: Description, bounds: readonly number[]) {
    super(description);
    this.#bounds = bounds;
  }

  observe(value: number, labels: Labels = []): void {
    const series = this.at(labels);
    const index = this.#bounds.findIndex((bound) => value <= bound);
    series.counts[index < 0 ? this.#bounds.length : index]!++;
    series.sum += value;
  }

  protected fresh(): Distribution {
    return { counts: Array<number>(this.#bounds.length + 1).fill(0), sum: 0 };
  }

  protected lines(name: string, labels: readonly string[], { counts, sum }: Distribution) {
    let total = 0;
    const buckets = counts.map((count, index) => {
      total += count;
      return `${name}_bucket${braces([...labels, `le="${this.#bounds[index] ?? '+Inf'}"`])} ${total}`;
    });
    return [...buckets, `${name}_sum${braces(labels)} ${sum}`, `${name}_count${braces(labels)} ${total}`];
  }
}

function braces(labels: readonly string[]): string {
  return labels.length === 0 ? '' : `{${labels.join(',')}}`;
}

function escaped(text: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');
}
