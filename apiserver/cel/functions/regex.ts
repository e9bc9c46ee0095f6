/** matches, find and findAll: by RE2, so in time linear in the text. */
import { type Pattern, transientPattern } from '#apiserver/schema/pattern.ts';
import type { Budget } from '../budget.ts';
import { EvaluationError } from '../errors.ts';
import { type Overload, overload } from './overload.ts';

/** Patterns that the rule spells out are compiled already; one that comes from the object is compiled for this one use. */
function pattern(budget: Budget, text: string, source: string): Pattern {
  budget.charge((Math.max(10, text.length) / 10) * Math.max(1, source.length / 4));
  try {
    return transientPattern(source);
  } catch (error) {
    throw new EvaluationError(`error parsing regexp: ${error instanceof Error ? error.message : String(error)}`, {
      cause: error,
    });
  }
}

export const regex: readonly Overload[] = [
  ...['matches(string, string): bool', '(string).matches(string): bool'].map((signature) =>
    overload(signature, (budget, text: string, source: string) => pattern(budget, text, source).test(text)),
  ),
  overload(
    '(string).find(string): string',
    (budget, text: string, source: string) => pattern(budget, text, source).find(text, 1)[0] ?? '',
  ),
  overload('(string).findAll(string): list<string>', (budget, text: string, source: string) =>
    pattern(budget, text, source).find(text, Number.POSITIVE_INFINITY),
  ),
  overload('(string).findAll(string, int): list<string>', (budget, text: string, source: string, limit: bigint) =>
    pattern(budget, text, source).find(text, limit < 0n ? Number.POSITIVE_INFINITY : Number(limit)),
  ),
];
