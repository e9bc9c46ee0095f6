/** String formats that Kubernetes enforces in structural schemas. An unknown format means nothing, as there. */
import { isIP, isIPv4, isIPv6 } from 'node:net';

type Check = (text: string) => boolean;

const uuid = (version: string): Check => {
  const expression = new RegExp(`^[0-9a-f]{8}-?[0-9a-f]{4}-?${version}[0-9a-f]{3}-?[0-9a-f]{4}-?[0-9a-f]{12}$`, 'i');
  return (text) => expression.test(text);
};

const matches =
  (expression: RegExp): Check =>
  (text) =>
    expression.test(text);

/** Whether the day exists: JavaScript reads 30 February as 2 March. */
function isDate(text: string): boolean {
  if (!/^\d{4}-\d{2}-\d{2}$/.test(text)) return false;
  const ms = Date.parse(text);
  return !Number.isNaN(ms) && new Date(ms).toISOString().startsWith(text);
}

function isDateTime(text: string): boolean {
  const match = /^(\d{4}-\d{2}-\d{2})[Tt](\d{2}):(\d{2}):(\d{2})(\.\d+)?([Zz]|[+-]\d{2}:\d{2})$/.exec(text);
  return match !== null && isDate(match[1]!) && Number(match[2]) < 24 && Number(match[3]) < 60 && Number(match[4]) < 60;
}

/** Go's durations, and words such as 3 days. */
function isDuration(text: string): boolean {
  return (
    /^[+-]?((\d+\.?\d*|\.\d+)(h|ms|us|µs|ns|m|s))+$/.test(text) ||
    /^[+-]?0$/.test(text) ||
    /^\d+ *(weeks?|w|days?|d|hours?|hrs?|h|minutes?|mins?|m|seconds?|secs?|s|milliseconds?|millis?|milis?|ms)$/.test(
      text,
    )
  );
}

function isCidr(text: string): boolean {
  const match = /^([^/]+)\/(\d{1,3})$/.exec(text);
  const family = match ? isIP(match[1]!) : 0;
  return match !== null && family !== 0 && Number(match[2]) <= (family === 4 ? 32 : 128);
}

/** Of a request to a server: absolute, or a path from the root. */
function isUri(text: string): boolean {
  return /^([a-z][a-z0-9+.-]*:[^\s]+|\/[^\s]*)$/i.test(text) && !/%(?![0-9a-f]{2})/i.test(text);
}

function isEmail(text: string): boolean {
  return text.length <= 320 && /^[^\s@<>()[\],;:\\"]+@[^\s@<>()[\],;:\\"]+$/.test(text);
}

const label = '[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?';

const checks: Readonly<Record<string, Check>> = {
  'date-time': isDateTime,
  datetime: isDateTime,
  date: isDate,
  duration: isDuration,
  uuid: uuid('[0-9a-f]'),
  uuid3: uuid('3'),
  uuid4: uuid('4'),
  uuid5: uuid('5'),
  byte: (text) => text.length % 4 === 0 && /^[A-Za-z0-9+/]*={0,2}$/.test(text),
  ipv4: isIPv4,
  ipv6: isIPv6,
  cidr: isCidr,
  mac: matches(/^[0-9a-f]{2}([:-]?[0-9a-f]{2}){5}([:-]?[0-9a-f]{2}){0,2}$|^([0-9a-f]{4}\.){2,3}[0-9a-f]{4}$/i),
  uri: isUri,
  email: isEmail,
  hostname: (text) => text.length <= 255 && new RegExp(`^(?:${label}\\.)*${label}\\.?$`, 'i').test(text),
  hexcolor: matches(/^#?([0-9a-f]{3}|[0-9a-f]{6})$/i),
  rgbcolor: matches(/^rgb\(\s*\d{1,3}\s*,\s*\d{1,3}\s*,\s*\d{1,3}\s*\)$/),
  bsonobjectid: matches(/^[0-9a-f]{24}$/i),
  ssn: matches(/^\d{3}[- ]?\d{2}[- ]?\d{4}$/),
  'k8s-short-name': matches(/^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/),
  'k8s-long-name': (text) =>
    text.length <= 253 && /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/.test(text),
};

export function formatCheck(format: string | undefined): Check | undefined {
  return format !== undefined && Object.hasOwn(checks, format) ? checks[format] : undefined;
}

export const formatNames: readonly string[] = Object.keys(checks);
