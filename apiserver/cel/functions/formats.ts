/** Kubernetes' format library: names of formats, whose validate() says what is wrong with a text. */
import { EvaluationError } from '../errors.ts';
import { Opaque, Optional } from '../values.ts';
import { type Overload, overload, readsText } from './overload.ts';

class Format extends Opaque {
  readonly type = 'NamedFormat';
  readonly key: string;
  readonly pattern: RegExp;
  readonly max: number;

  constructor(name: string, pattern: RegExp, max: number) {
    super();
    this.key = name;
    this.pattern = pattern;
    this.max = max;
  }
}

const label = '[a-z0-9](?:[-a-z0-9]*[a-z0-9])?';
const subdomain = `${label}(?:\\.${label})*`;
const label1035 = '[a-z](?:[-a-z0-9]*[a-z0-9])?';
const value = '(?:[A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]';

/** None of the expressions can take more than linear time: what repeats begins with what cannot go on. */
const formats: Readonly<Record<string, readonly [string, number]>> = {
  dns1123Label: [label, 63],
  dns1123Subdomain: [subdomain, 253],
  dns1035Label: [label1035, 63],
  qualifiedName: [`(?:${subdomain}/)?${value}`, 317],
  dns1123LabelPrefix: ['[a-z0-9][-a-z0-9]*', 63],
  dns1123SubdomainPrefix: ['[a-z0-9][-a-z0-9.]*', 253],
  dns1035LabelPrefix: ['[a-z][-a-z0-9]*', 63],
  labelValue: [`(?:${value})?`, 63],
  uri: ['(?:[A-Za-z][A-Za-z0-9+.-]*:|/)[^\\s]*', 4096],
  uuid: ['[0-9A-Fa-f]{8}-(?:[0-9A-Fa-f]{4}-){3}[0-9A-Fa-f]{12}', 36],
  byte: ['(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?', 4_000_000],
  date: ['\\d{4}-\\d{2}-\\d{2}', 10],
  datetime: ['\\d{4}-\\d{2}-\\d{2}[Tt]\\d{2}:\\d{2}:\\d{2}(?:\\.\\d+)?(?:[Zz]|[+-]\\d{2}:\\d{2})', 64],
};

const named = new Map(
  Object.entries(formats).map(([name, [source, max]]) => [name, new Format(name, new RegExp(`^(?:${source})$`), max)]),
);

function problems(format: Format, text: string): string[] {
  if (text.length > format.max) return [`must be no more than ${format.max} characters`];
  return format.pattern.test(text) ? [] : [`must be a valid ${format.key}`];
}

export const namedFormats: readonly Overload[] = [
  overload('format.named(string): optional<NamedFormat>', (_, name: string) => {
    const format = named.get(name);
    return format ? new Optional(format) : Optional.none;
  }),
  ...[...named].map(([name, format]) => overload(`format.${name}(): NamedFormat`, () => format)),
  overload('(NamedFormat).validate(string): optional<list<string>>', (budget, format: Format, text: string) => {
    if (!(format instanceof Format)) throw new EvaluationError('no such overload');
    readsText(budget, text);
    const found = problems(format, text);
    return found.length === 0 ? Optional.none : new Optional(found);
  }),
];
