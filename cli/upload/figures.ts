/** Bytes and rates as people read them. */
const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'] as const;

export function bytesText(bytes: number): string {
  const power = bytes < 1 ? 0 : Math.min(Math.floor(Math.log2(bytes) / 10), units.length - 1);
  const value = bytes / 2 ** (10 * power);
  return `${power === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${units[power]}`;
}

/** Over the last few seconds: a break must not be seen for as long as an upload takes. */
const overMs = 5_000;

export class Rate {
  readonly #points: { readonly ms: number; readonly bytes: number }[] = [];

  /** Bytes per second. */
  at(ms: number, bytes: number): number {
    // What was sent anew does not count twice.
    if (bytes < (this.#points.at(-1)?.bytes ?? 0)) this.#points.length = 0;
    this.#points.push({ ms, bytes });
    while (this.#points.length > 2 && ms - this.#points[0]!.ms > overMs) this.#points.shift();
    const [first] = this.#points;
    return first && ms > first.ms ? (1000 * (bytes - first.bytes)) / (ms - first.ms) : 0;
  }
}

/** `120 MiB of 1.0 GiB (11%), 45.0 MiB/s`. */
export function progressText(bytes: number, total: number, rate: number): string {
  return `${bytesText(bytes)} of ${bytesText(total)} (${Math.floor((100 * bytes) / total)}%), ${bytesText(rate)}/s`;
}
