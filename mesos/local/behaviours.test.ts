import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';

const text = readFileSync(join(import.meta.dirname, 'BEHAVIOURS.md'), 'utf8');
const rows = text
  .split('\n')
  .filter((line) => /^\| [A-Z]\d+ \|/.test(line))
  .map((line) => {
    const [id = '', behaviour = '', , where = '', status = ''] = line.slice(2, -2).split(' | ');
    return { id, behaviour, where, status };
  });

/** Ids that must be there: those marked as musts. */
const musts = [
  ...['H1', 'H2', 'H3', 'H4', 'H5', 'H6', 'H7', 'H10'],
  ...Array.from({ length: 10 }, (_, index) => `F${index + 1}`),
  ...['A1', 'A2', 'A3', 'A4', 'A5', 'A6', 'A7', 'A8', 'A10', 'A11', 'A14'],
  ...['C1', 'C2', 'C3', 'C4', 'C5', 'C6', 'C7', 'C8', 'C9', 'C10', 'C11', 'C13', 'C14'],
  ...Array.from({ length: 14 }, (_, index) => `G${index + 1}`),
  ...['O1', 'O2', 'O3', 'O4', 'O8'],
];

/** The file and the words that must stand in it: `C file words`, `R words`, or `file words`. */
function testOf(where: string): readonly [file: string, words: string] {
  const quoted = [...where.matchAll(/`([^`]+)`/g)].map(([, inner]) => inner!);
  if (where.startsWith('R ')) return ['replay.test.ts', quoted[0]!];
  const [file = '', words = ''] = quoted;
  return [where.startsWith('C ') ? `../conformance/scenarios/${file}` : file, words];
}

test('every behaviour that matters has a row, and is tested', () => {
  const listed = new Set(rows.map(({ id }) => id));
  expect(musts.filter((id) => !listed.has(id))).toEqual([]);
  expect(rows.filter(({ id, status }) => musts.includes(id) && status !== 'tested')).toEqual([]);
});

test.each(rows.filter(({ where }) => where !== 'none'))('$id: the test that is named exists', ({ where }) => {
  const [file, words] = testOf(where);
  expect(words).not.toBe('');
  expect(readFileSync(join(import.meta.dirname, file), 'utf8')).toContain(words);
});

test('a row without a test does not call itself tested, and one that is not whole says what is missing', () => {
  for (const { id, where, status } of rows) {
    if (where === 'none') expect(status, id).toMatch(/^missing/);
    else expect(status, id).toMatch(/^tested$|^partly: ./);
  }
});
