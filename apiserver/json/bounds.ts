/**
 * How much structure a document may have, looked at before it is parsed. Time and memory go with the number of values, not with bytes: three
 * megabytes of one text are cheap, and of empty fields they would hold up everybody for seconds.
 */
import { ApiError } from '#lib/std/errors.ts';

/** An object with so many values is far beyond what people write, and takes the server some ten milliseconds. */
const maxValues = 50_000;
/** The YAML parser is slower by far; who has more sends JSON, as kubectl does. */
const maxYamlParts = 10_000;
const maxYamlBytes = 1024 * 1024;

const quote = 0x22;
const backslash = 0x5c;
const newline = 0x0a;

/** RequestEntityTooLarge for text that, read as JSON, has too many values. Text that is no JSON is left to the parser. */
export function requireFewValues(text: string, what: string): void {
  let values = 0;
  for (let index = 0; index < text.length; index++) {
    const code = text.charCodeAt(index);
    if (code === quote) index = endOfString(text, index);
    else if (isSeparator(code) && ++values > maxValues)
      throw new ApiError(
        'RequestEntityTooLarge',
        `${what}: a document may have ${maxValues} values, this one has more`,
      );
  }
}

/** The same for YAML, in which every line and every separator may begin a value. */
export function requireShortYaml(text: string, what: string): void {
  let parts = text.length > maxYamlBytes ? Number.POSITIVE_INFINITY : 0;
  for (let index = 0; index < text.length && parts <= maxYamlParts; index++) {
    const code = text.charCodeAt(index);
    if (code === newline || isSeparator(code) || code === 0x3a) parts++;
  }
  if (parts > maxYamlParts)
    throw new ApiError(
      'RequestEntityTooLarge',
      `${what}: a YAML document may have ${maxYamlBytes} bytes and ${maxYamlParts} lines and separators; send JSON instead`,
    );
}

/** A comma, or what opens a list or an object: each begins a value. */
function isSeparator(code: number): boolean {
  return code === 0x2c || code === 0x5b || code === 0x7b;
}

function endOfString(text: string, start: number): number {
  for (let end = text.indexOf('"', start + 1); end >= 0; end = text.indexOf('"', end + 1)) {
    let escapes = 0;
    while (text.charCodeAt(end - 1 - escapes) === backslash) escapes++;
    if (escapes % 2 === 0) return end;
  }
  return text.length;
}
