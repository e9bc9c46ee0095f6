const unitMs: Readonly<Record<string, number>> = {
  ns: 1e-6,
  us: 1e-3,
  ms: 1,
  secs: 1000,
  mins: 60_000,
  hrs: 3_600_000,
  days: 86_400_000,
  weeks: 604_800_000,
};

/** Milliseconds of a duration as Mesos writes them for executors, such as 15mins or 2secs. Throws RangeError for anything else. */
export function parseMesosDuration(text: string): number {
  const match = /^(\d+(?:\.\d+)?)(ns|us|ms|secs|mins|hrs|days|weeks)$/.exec(text);
  if (!match) throw new RangeError(`Cannot read "${text}" as a duration of Mesos such as 15mins`);
  return Number(match[1]) * unitMs[match[2]!]!;
}
