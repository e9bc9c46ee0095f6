/**
 * Tables of messages. One line of text per message names its fields as they are called in JSON: `NAME NUMBER [TYPE][MARK]`, separated by
 * commas. TYPE is `string` unless told, `int`, `bool`, `double`, `bytes`, one of the special values of values.ts, another message, or
 * `map:TYPE`. MARK is `[]` for a list, `?` for a field that Go points to, so that a zero in it is not nothing, and `!` for one that JSON
 * always shows. Without a mark a zero means that the field was never set.
 */
export interface FieldType {
  readonly name: string;
  readonly number: number;
  /** Of an item, where `shape` is a list or a map. */
  readonly type: string;
  readonly shape: 'single' | 'list' | 'map';
  readonly zero: 'dropped' | 'kept' | 'always';
}

export interface MessageType {
  readonly fields: readonly FieldType[];
  readonly byNumber: ReadonlyMap<number, FieldType>;
}

export type MessageTypes = ReadonlyMap<string, MessageType>;

/** RangeError for a line that is not as described above: a mistake in a table must not wait for the first client to meet it. */
export function readTables(...tables: readonly Readonly<Record<string, string>>[]): MessageTypes {
  return new Map(
    tables.flatMap((table) => Object.entries(table)).map(([name, text]) => [name, messageType(name, text)]),
  );
}

function messageType(name: string, text: string): MessageType {
  const fields = text === '' ? [] : text.split(',').map((field) => fieldType(name, field.trim()));
  const byNumber = new Map(fields.map((field) => [field.number, field]));
  if (byNumber.size !== fields.length) throw new RangeError(`Message ${name} gives two fields the same number`);
  return { fields, byNumber };
}

const syntax = /^(\S+) (\d+)(?: (map:)?(\w+))?(\[\]|\?|!)?$/;

function fieldType(message: string, text: string): FieldType {
  const match = syntax.exec(text);
  if (!match) throw new RangeError(`Message ${message} has a field that cannot be read: "${text}"`);
  const [, name, number, map, type = 'string', mark] = match;
  return {
    name: name!,
    number: Number(number),
    type,
    shape: map ? 'map' : mark === '[]' ? 'list' : 'single',
    zero: mark === '?' ? 'kept' : mark === '!' ? 'always' : 'dropped',
  };
}
