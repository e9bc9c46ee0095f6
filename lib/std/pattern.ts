import { RE2JS } from 're2js';

/** A regular expression of RE2: takes time linear in the text, whatever the pattern, and reads patterns as Go does. */
export interface Pattern {
  /** Whether a text contains a match. */
  test(text: string): boolean;
  /** The matches from left to right, `limit` at most. */
  find(text: string, limit: number): string[];
}

const compiled = new Map<string, Pattern>();

/** For patterns of schemas, of which there are few: they are kept for good. Throws for one that RE2 cannot read. */
export function patternOf(source: string): Pattern {
  const known = compiled.get(source);
  if (known) return known;
  const pattern = compilePattern(source);
  compiled.set(source, pattern);
  return pattern;
}

/** Nothing that a schema describes by a pattern is longer, and what is read in linear time takes time all the same. */
const maxFitting = 32 * 1024;

/** Whether a field's value is as the `pattern` of its schema says; one of more than 32 KiB is not. */
export function fitsPattern(source: string, text: string): boolean {
  return text.length <= maxFitting && patternOf(source).test(text);
}

/** A pattern that a schema has asked for before. */
export function keptPattern(source: string): Pattern | undefined {
  return compiled.get(source);
}

/** For a pattern that a client chose for one use, so is not kept. Throws for one that RE2 cannot read. */
export function compilePattern(source: string): Pattern {
  const expression = RE2JS.compile(source);
  return {
    // Of all its ways to look for a match the fastest: it need not say where it is.
    test: (text) => expression.test(text),
    find: (text, limit) => {
      const matcher = expression.matcher(text);
      const found: string[] = [];
      while (found.length < limit && matcher.find()) found.push(matcher.group() ?? '');
      return found;
    },
  };
}
