/** Media types: which form of the answer the client wants, and which form its body has. */
import { ApiError } from '#lib/std/errors.ts';
import { isTrue } from './request-info.ts';

export type Form = 'object' | 'table' | 'partial';

export type MetaVersion = 'meta.k8s.io/v1' | 'meta.k8s.io/v1beta1';

export interface Accepted {
  readonly type: 'json' | 'yaml';
  readonly form: Form;
  /** In which version a table or metadata are wanted. */
  readonly metaVersion: MetaVersion;
  /** Set out in lines, for people. */
  readonly pretty: boolean;
}

interface MediaRange {
  readonly type: string;
  readonly parameters: ReadonlyMap<string, string>;
  readonly quality: number;
}

/** The ranges of an Accept header, the wanted first; ties stay in the order written. */
export function parseAccept(header: string | undefined): MediaRange[] {
  const ranges = (header || '*/*').split(',').map((part) => {
    const [type = '', ...parameters] = part.split(';').map((piece) => piece.trim());
    const map = new Map(parameters.map((piece) => splitOnce(piece)));
    return { type: type.toLowerCase(), parameters: map, quality: Number(map.get('q') ?? 1) || 0 };
  });
  return ranges.filter((range) => range.quality > 0).sort((a, b) => b.quality - a.quality);
}

function splitOnce(text: string): [string, string] {
  const equals = text.indexOf('=');
  return equals < 0 ? [text, ''] : [text.slice(0, equals), text.slice(equals + 1)];
}

const types: ReadonlyMap<string, Accepted['type']> = new Map([
  ['*/*', 'json'],
  ['application/*', 'json'],
  ['application/json', 'json'],
  ['application/yaml', 'yaml'],
]);

function formOf({ parameters }: MediaRange): Pick<Accepted, 'form' | 'metaVersion'> | undefined {
  const as = parameters.get('as');
  const version = parameters.get('v');
  if (as === undefined) return { form: 'object', metaVersion: 'meta.k8s.io/v1' };
  if (parameters.get('g') !== 'meta.k8s.io' || (version !== 'v1' && version !== 'v1beta1')) return undefined;
  const metaVersion = `meta.k8s.io/${version}` as const;
  if (as === 'Table') return { form: 'table', metaVersion };
  return as === 'PartialObjectMetadata' || as === 'PartialObjectMetadataList'
    ? { form: 'partial', metaVersion }
    : undefined;
}

/** The first range that can be served. NotAcceptable if there is none; protobuf and CBOR are not answered. */
export function negotiate({ accept, userAgent, query }: Asking): Accepted {
  for (const range of parseAccept(accept)) {
    const type = types.get(range.type);
    const form = formOf(range);
    if (type && form)
      return { type, ...form, pretty: range.parameters.get('pretty') === '1' || isPretty(query, userAgent) };
  }
  throw new ApiError('NotAcceptable', `only the following media types are accepted: ${objectTypes}`);
}

export interface Asking {
  readonly accept: string | undefined;
  readonly userAgent: string | undefined;
  readonly query: URLSearchParams;
}

/** Said in the query; else what people look at by hand is made for their eyes, as in Kubernetes. */
function isPretty(query: URLSearchParams, userAgent = ''): boolean {
  const wish = query.get('pretty');
  return wish ? isTrue(wish) : /^(curl|Wget|Mozilla\/5\.0)/.test(userAgent);
}

/** Which forms there are, as upstream lists them: protobuf on the way in only, JSON and YAML both ways. */
export const objectTypes = 'application/json, application/yaml, application/vnd.kubernetes.protobuf';

/** The type alone, without charset and the like. */
export function mediaType(header: string | undefined): string {
  return (header ?? '').split(';')[0]!.trim().toLowerCase();
}
