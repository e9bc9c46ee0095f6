/** matches, find and findAll: by RE2, so in time linear in the text. */

import { messageOf } from '#lib/std/errors.ts';
import { compilePattern, keptPattern, type Pattern } from '#lib/std/pattern.ts';
import type { Budget } from '../budget.ts';
import { EvaluationError } from '../errors.ts';
import { type Overload, overload } from './overload.ts';

/** RE2 in JavaScript takes about as long for a character as everything else does for a step; more for a long pattern. */
function pattern(budget: Budget, text: string, source: string): Pattern {
  budget.charge(10 + text.length * Math.max(1, source.length / 40));
  // What the rule spells out is compiled already.
  const kept = keptPattern(source);
  if (kept) return kept;
  budget.charge(100 + 10 * source.length);
  try {
    return compilePattern(source);
  } catch (error) {
    throw new EvaluationError(`error parsing regexp: ${messageOf(error)}`, { cause: error });
  }
}

function findAll(budget: Budget, text: string, source: string, limit: number): string[] {
  const found = pattern(budget, text, source).find(text, limit);
  budget.charge(found.length);
  return found;
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
    findAll(budget, text, source, Number.POSITIVE_INFINITY),
  ),
  overload('(string).findAll(string, int): list<string>', (budget, text: string, source: string, limit: bigint) =>
    findAll(budget, text, source, limit < 0n ? Number.POSITIVE_INFINITY : Number(limit)),
  ),
];
