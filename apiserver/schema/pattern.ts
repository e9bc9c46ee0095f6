import { RE2JS } from 're2js';

/** Whether a text contains a match. RE2: takes time linear in the text, whatever the pattern, and reads patterns as Go does. */
export interface Pattern {
  test(text: string): boolean;
}

const compiled = new Map<string, Pattern>();

/** Patterns come from schemas, so there are few: they are kept for good. Throws for one that RE2 cannot read. */
export function patternOf(source: string): Pattern {
  const known = compiled.get(source);
  if (known) return known;
  const expression = RE2JS.compile(source);
  const pattern: Pattern = { test: (text) => expression.matcher(text).find() };
  compiled.set(source, pattern);
  return pattern;
}
