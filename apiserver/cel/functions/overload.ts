/** How a function of CEL is written down: a signature and what computes it. */
import type { Budget } from '../budget.ts';
import { readType, splitTop, type Type } from '../types.ts';
import type { Value } from '../values.ts';

export type Run = (budget: Budget, ...args: readonly Value[]) => Value;

export interface Overload {
  readonly name: string;
  /** Called as target.name(…): the target is the first of the parameters. */
  readonly method: boolean;
  readonly params: readonly Type[];
  readonly result: Type;
  readonly run: Run;
}

/**
 * Reads a signature such as `(string).contains(string): bool` for a method or `size(list<A>): int` for a function. `run` may say of its
 * arguments what the signature says: they are of these types, or dyn turned out to be.
 */
export function overload(signature: string, run: (budget: Budget, ...args: never[]) => Value): Overload {
  const match = /^(?:\((?<target>[^)]*)\)\.)?(?<name>[^(]+)\((?<params>.*)\): (?<result>.+)$/.exec(signature)?.groups;
  if (!match) throw new Error(`Cannot read the signature ${signature}`);
  const params = splitTop(match.params!);
  return {
    name: match.name!,
    method: match.target !== undefined,
    params: (match.target === undefined ? params : [match.target, ...params]).map(readType),
    result: readType(match.result!),
    run: run as unknown as Run,
  };
}

/** What a charge for reading texts is: a tenth a character, as cel-go has it. */
export function readsText(budget: Budget, ...texts: readonly string[]): void {
  for (const text of texts) budget.chargeText(text.length);
}
