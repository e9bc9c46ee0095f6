const factors: Readonly<Record<string, number>> = {
  '': 1,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
  Ti: 2 ** 40,
};

/** Bytes of a Kubernetes quantity such as 96Gi or 500M. Throws RangeError for anything else. */
export function parseBytes(quantity: string): number {
  const match = /^(\d+(?:\.\d+)?)(Ki|Mi|Gi|Ti|k|M|G|T)?$/.exec(quantity);
  if (!match)
    throw new RangeError(
      `Cannot read "${quantity}" as a quantity: write a number with Ki, Mi, Gi or Ti behind it, for example 96Gi`,
    );
  return Math.round(Number(match[1]) * factors[match[2] ?? '']!);
}

/** Whole MiB of a quantity, rounded up. */
export function parseMiB(quantity: string): number {
  return Math.ceil(parseBytes(quantity) / 2 ** 20);
}

/** A quantity for so many MiB, in the largest unit that is exact: 98304 gives 96Gi. */
export function formatMiB(mebibytes: number): string {
  if (mebibytes % 2 ** 20 === 0 && mebibytes > 0) return `${mebibytes / 2 ** 20}Ti`;
  return mebibytes % 1024 === 0 && mebibytes > 0 ? `${mebibytes / 1024}Gi` : `${mebibytes}Mi`;
}
