/** Amounts of what is measured and reserved: `cpus` in thousandths of a processor, `mem` and `disk` in MiB. Integers, so that sums are exact. */
export const names = ['cpus', 'mem', 'disk'] as const;
export type Name = (typeof names)[number];
export type Amounts = Readonly<Record<Name, number>>;

export function amounts(of: (name: Name) => number): Amounts {
  return { cpus: of('cpus'), mem: of('mem'), disk: of('disk') };
}

export const nothing = amounts(() => 0);

/** Only what is above zero; undefined if nothing is. */
export function positive(some: Amounts): Amounts | undefined {
  return names.some((name) => some[name] > 0) ? amounts((name) => Math.max(0, some[name])) : undefined;
}

/** From thousandths as Mesos counts them. What is no whole MiB is left where it is. */
export function fromMilli(name: Name, milli: number): number {
  return name === 'cpus' ? milli : Math.floor(milli / 1000);
}

/** As the value of a scalar of Mesos. */
export function scalarOf(name: Name, amount: number): number {
  return name === 'cpus' ? amount / 1000 : amount;
}

/** For people: `cpus 3.5, mem 2048 MiB`, without what is zero. */
export function described(some: Amounts): string {
  const parts = names.filter((name) => some[name] !== 0);
  const text = parts.map((name) => `${name} ${scalarOf(name, some[name])}${name === 'cpus' ? '' : ' MiB'}`);
  return text.join(', ') || 'nothing';
}
