/** Timestamps and durations as CEL reads and writes them: nanoseconds, the calendar of any time zone. */
import { EvaluationError } from './errors.ts';
import { Duration, Timestamp } from './values.ts';

const second = 1_000_000_000n;
const units: Readonly<Record<string, bigint>> = {
  h: 3600n * second,
  m: 60n * second,
  s: second,
  ms: 1_000_000n,
  us: 1_000n,
  µs: 1_000n,
  ns: 1n,
};

/** Years 1 to 9999, which RFC 3339 can write. */
const earliest = BigInt(Date.UTC(1970, 0, 1) - 62_135_596_800_000) * 1_000_000n;
const latest = BigInt(253_402_300_799_999) * 1_000_000n + 999_999n;

export function makeTimestamp(nanos: bigint): Timestamp {
  if (nanos < earliest || nanos > latest) throw new EvaluationError('timestamp overflow');
  return new Timestamp(nanos);
}

/** RFC 3339. */
export function readTimestamp(text: string): Timestamp {
  const match = /^(\d{4}-\d{2}-\d{2})[Tt](\d{2}:\d{2}:\d{2})(?:\.(\d{1,9}))?([Zz]|[+-]\d{2}:\d{2})$/.exec(text);
  const ms = match ? Date.parse(`${match[1]}T${match[2]}${match[4]!.toUpperCase()}`) : Number.NaN;
  if (!match || Number.isNaN(ms)) throw new EvaluationError(`"${text.slice(0, 64)}" is no timestamp of RFC 3339`);
  return makeTimestamp(BigInt(ms) * 1_000_000n + BigInt((match[3] ?? '').padEnd(9, '0')));
}

/** Go's form: 1h30m, -1.5s, 300ms. */
export function readDuration(text: string): Duration {
  const match = /^([+-]?)((?:\d+(?:\.\d*)?(?:h|ms|us|µs|ns|m|s))+|0)$/.exec(text.slice(0, 200));
  if (!match || text.length > 200) throw new EvaluationError(`"${text.slice(0, 64)}" is no duration`);
  let nanos = 0n;
  for (const [, whole, fraction = '', unit] of match[2]!.matchAll(/(\d+)(?:\.(\d*))?(h|ms|us|µs|ns|m|s)/g)) {
    const size = units[unit!]!;
    nanos += BigInt(whole!) * size;
    if (fraction !== '') nanos += (BigInt(fraction) * size) / 10n ** BigInt(fraction.length);
  }
  return makeDuration(match[1] === '-' ? -nanos : nanos);
}

export function makeDuration(nanos: bigint): Duration {
  if (BigInt.asIntN(64, nanos) !== nanos) throw new EvaluationError('duration overflow');
  return new Duration(nanos);
}

export function showTimestamp({ nanos }: Timestamp): string {
  const seconds = floorDivide(nanos, second);
  const rest = nanos - seconds * second;
  const date = new Date(Number(seconds) * 1000).toISOString().slice(0, 19);
  return `${date}${rest === 0n ? '' : `.${String(rest).padStart(9, '0').replace(/0+$/, '')}`}Z`;
}

export function showDuration({ nanos }: Duration): string {
  const size = nanos < 0n ? -nanos : nanos;
  const rest = size % second;
  const fraction = rest === 0n ? '' : `.${String(rest).padStart(9, '0').replace(/0+$/, '')}`;
  return `${nanos < 0n ? '-' : ''}${size / second}${fraction}s`;
}

function floorDivide(value: bigint, by: bigint): bigint {
  const quotient = value / by;
  return value % by < 0n ? quotient - 1n : quotient;
}

/** The date and time that a clock on the wall shows there. Zones are names (Europe/Berlin) or offsets (+02:00, 02:00). */
export function wallClock({ nanos }: Timestamp, zone: string): Date {
  const ms = Number(floorDivide(nanos, 1_000_000n));
  const offset = /^([+-]?)(\d{2}):(\d{2})$/.exec(zone);
  if (offset) {
    const minutes = Number(offset[2]) * 60 + Number(offset[3]);
    return new Date(ms + (offset[1] === '-' ? -minutes : minutes) * 60_000);
  }
  const shown =
    formatOf(zone)
      .formatToParts(ms)
      .find(({ type }) => type === 'timeZoneName')?.value ?? 'GMT';
  const match = /^GMT(?:([+-])(\d{2}):(\d{2})(?::(\d{2}))?)?$/.exec(shown);
  const seconds = Number(match?.[2] ?? 0) * 3600 + Number(match?.[3] ?? 0) * 60 + Number(match?.[4] ?? 0);
  return new Date(ms + (match?.[1] === '-' ? -seconds : seconds) * 1000);
}

/** Expensive to make. There are a few hundred zones; their names come in many spellings, so their number has a bound. */
const formats = new Map<string, Intl.DateTimeFormat>();
const maxFormats = 500;

function formatOf(zone: string): Intl.DateTimeFormat {
  const known = formats.get(zone);
  if (known) return known;
  try {
    const format = new Intl.DateTimeFormat('en-US', { timeZone: zone, timeZoneName: 'longOffset' });
    if (formats.size >= maxFormats) formats.clear();
    formats.set(zone, format);
    return format;
  } catch (error) {
    throw new EvaluationError(`unknown time zone ${zone.slice(0, 64)}`, { cause: error });
  }
}

export function millisecondsOf({ nanos }: Timestamp): bigint {
  return floorDivide(nanos, 1_000_000n) - floorDivide(nanos, second) * 1000n;
}
