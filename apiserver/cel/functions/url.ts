/** Kubernetes' URL library: an absolute path or a URL with a scheme, split but not changed. */
import { EvaluationError } from '../errors.ts';
import { Opaque, type Value } from '../values.ts';
import { type Overload, overload, readsText } from './overload.ts';

interface Parts {
  readonly scheme: string;
  /** With the port. */
  readonly host: string;
  readonly hostname: string;
  readonly port: string;
  readonly path: string;
  readonly query: string;
}

class Url extends Opaque {
  readonly type = 'URL';
  readonly key: string;
  readonly parts: Parts;

  constructor(text: string, parts: Parts) {
    super();
    this.key = text;
    this.parts = parts;
  }
}

/** RFC 3986 with a scheme, or a path from the root; undefined for anything else. */
function readUrl(text: string): Url | undefined {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what must not be there
  if (/[\u0000-\u0020\u007f]/.test(text) || /%(?![0-9A-Fa-f]{2})/.test(text)) return undefined;
  const match = /^(?:([A-Za-z][A-Za-z0-9+.-]*):)?(?:\/\/([^/?]*))?([^?]*)(?:\?(.*))?$/s.exec(text);
  if (!match) return undefined;
  const [, scheme = '', authority, path = '', query = ''] = match;
  if (scheme === '' && (authority !== undefined || !path.startsWith('/'))) return undefined;
  const place = splitAuthority(authority ?? '');
  return place && new Url(text, { scheme: scheme.toLowerCase(), ...place, path, query });
}

function splitAuthority(authority: string): Pick<Parts, 'host' | 'hostname' | 'port'> | undefined {
  const host = authority.slice(authority.lastIndexOf('@') + 1);
  const match = /^(?:\[([^\]]*)\]|([^:[\]]*))(?::(\d*))?$/.exec(host);
  if (!match) return undefined;
  return { host, hostname: match[1] ?? match[2] ?? '', port: match[3] ?? '' };
}

/** A query as a map from names to all their values. */
function readQuery(query: string): Value {
  const result = new Map<string, string[]>();
  for (const [name, value] of new URLSearchParams(query)) {
    const values = result.get(name);
    if (values) values.push(value);
    else result.set(name, [value]);
  }
  return result;
}

export const urls: readonly Overload[] = [
  overload('url(string): URL', (budget, text: string) => {
    readsText(budget, text);
    const url = readUrl(text);
    if (!url) throw new EvaluationError(`URL parse error during conversion from string: ${text.slice(0, 200)}`);
    return url;
  }),
  overload('isURL(string): bool', (budget, text: string) => {
    readsText(budget, text);
    return readUrl(text) !== undefined;
  }),
  overload('(URL).getScheme(): string', (_, url: Url) => url.parts.scheme),
  overload('(URL).getHost(): string', (_, url: Url) => url.parts.host),
  overload('(URL).getHostname(): string', (_, url: Url) => url.parts.hostname),
  overload('(URL).getPort(): string', (_, url: Url) => url.parts.port),
  overload('(URL).getEscapedPath(): string', (_, url: Url) => encodeURI(url.parts.path).replace(/%25/g, '%')),
  overload('(URL).getQuery(): map<string, list<string>>', (budget, url: Url) => {
    readsText(budget, url.parts.query);
    return readQuery(url.parts.query);
  }),
];
