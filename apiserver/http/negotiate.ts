/** Media types: which form of the answer the client wants, and which form its body has. */
import { ApiError } from '#lib/std/errors.ts';

export type Form = 'object' | 'table' | 'partial';

export interface Accepted {
  readonly type: 'json' | 'yaml';
  readonly form: Form;
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

const jsonTypes = new Set(['application/json', 'application/*', '*/*']);

function formOf(range: MediaRange): Form | undefined {
  const as = range.parameters.get('as');
  if (as === undefined) return 'object';
  const version = range.parameters.get('v');
  if (range.parameters.get('g') !== 'meta.k8s.io' || (version !== 'v1' && version !== 'v1beta1')) return undefined;
  if (as === 'Table') return 'table';
  return as === 'PartialObjectMetadata' || as === 'PartialObjectMetadataList' ? 'partial' : undefined;
}

/** The first range that can be served. NotAcceptable if there is none; protobuf and CBOR are never answered. */
export function negotiate(header: string | undefined): Accepted {
  for (const range of parseAccept(header)) {
    const form = formOf(range);
    if (form && jsonTypes.has(range.type)) return { type: 'json', form };
    if (form && range.type === 'application/yaml') return { type: 'yaml', form };
  }
  throw new ApiError(
    'NotAcceptable',
    'only the following media types are accepted: application/json, application/yaml',
  );
}

/** The type alone, without charset and the like. */
export function mediaType(header: string | undefined): string {
  return (header ?? '').split(';')[0]!.trim().toLowerCase();
}
