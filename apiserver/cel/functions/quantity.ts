/** Kubernetes' quantities, such as 1.5Gi or 200m: exact to a billionth, as resource.Quantity keeps them. */
import { EvaluationError } from '../errors.ts';
import { Opaque } from '../values.ts';
import { type Overload, overload, readsText } from './overload.ts';

const nano = 1_000_000_000n;
const decimal: Readonly<Record<string, number>> = { n: -9, u: -6, m: -3, '': 0, k: 3, M: 6, G: 9, T: 12, P: 15, E: 18 };
const binary = ['Ki', 'Mi', 'Gi', 'Ti', 'Pi', 'Ei'];

class Quantity extends Opaque {
  readonly type = 'Quantity';
  /** Billionths. */
  readonly nanos: bigint;

  constructor(nanos: bigint) {
    super();
    this.nanos = nanos;
  }

  get key(): string {
    return String(this.nanos);
  }
}

/** Undefined for a text that is none. Smaller parts than a billionth are rounded up, away from zero, as upstream does. */
function readQuantity(text: string): Quantity | undefined {
  const match = /^([+-]?)(\d*)(?:\.(\d*))?(?:([KMGTPE]i)|([numkMGTPE]?)|[eE]([+-]?\d{1,3}))$/.exec(text);
  if (!match || text.length > 100 || `${match[2]}${match[3] ?? ''}` === '') return undefined;
  const [, sign, whole = '', fraction = '', power, suffix = '', exponent] = match;
  const ten = BigInt(9 - fraction.length + (exponent === undefined ? (decimal[suffix] ?? 0) : Number(exponent)));
  const digits = BigInt(`${whole}${fraction}`) * (power ? 1024n ** BigInt(binary.indexOf(power) + 1) : 1n);
  const nanos = ten >= 0n ? digits * 10n ** ten : divideUp(digits, 10n ** -ten);
  return new Quantity(sign === '-' ? -nanos : nanos);
}

function divideUp(value: bigint, by: bigint): bigint {
  return (value + by - 1n) / by;
}

function parse(text: string): Quantity {
  const quantity = readQuantity(text);
  if (quantity) return quantity;
  throw new EvaluationError(
    "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
  );
}

function asInteger({ nanos }: Quantity): bigint | undefined {
  const whole = nanos / nano;
  return nanos % nano === 0n && BigInt.asIntN(64, whole) === whole ? whole : undefined;
}

function order(a: Quantity, b: Quantity): bigint {
  return a.nanos < b.nanos ? -1n : a.nanos > b.nanos ? 1n : 0n;
}

export const quantities: readonly Overload[] = [
  overload('quantity(string): Quantity', (budget, text: string) => {
    readsText(budget, text);
    return parse(text);
  }),
  overload('isQuantity(string): bool', (budget, text: string) => {
    readsText(budget, text);
    return readQuantity(text) !== undefined;
  }),
  overload('(Quantity).sign(): int', (_, a: Quantity) => order(a, new Quantity(0n))),
  overload('(Quantity).isInteger(): bool', (_, a: Quantity) => asInteger(a) !== undefined),
  overload('(Quantity).asInteger(): int', (_, a: Quantity) => {
    const whole = asInteger(a);
    if (whole === undefined) throw new EvaluationError('cannot convert value to integer');
    return whole;
  }),
  overload('(Quantity).asApproximateFloat(): double', (_, a: Quantity) => Number(a.nanos) / 1e9),
  overload('(Quantity).isGreaterThan(Quantity): bool', (_, a: Quantity, b: Quantity) => a.nanos > b.nanos),
  overload('(Quantity).isLessThan(Quantity): bool', (_, a: Quantity, b: Quantity) => a.nanos < b.nanos),
  overload('(Quantity).compareTo(Quantity): int', (_, a: Quantity, b: Quantity) => order(a, b)),
  overload('(Quantity).add(Quantity): Quantity', (_, a: Quantity, b: Quantity) => new Quantity(a.nanos + b.nanos)),
  overload('(Quantity).add(int): Quantity', (_, a: Quantity, b: bigint) => new Quantity(a.nanos + b * nano)),
  overload('(Quantity).sub(Quantity): Quantity', (_, a: Quantity, b: Quantity) => new Quantity(a.nanos - b.nanos)),
  overload('(Quantity).sub(int): Quantity', (_, a: Quantity, b: bigint) => new Quantity(a.nanos - b * nano)),
];
