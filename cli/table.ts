import type { Output } from './output.ts';

/** Lines of columns that line up, three spaces apart as kubectl prints them. An empty cell stays empty. */
export function formatTable(header: readonly string[], rows: readonly (readonly string[])[]): readonly string[] {
  const all = [header, ...rows];
  const widths = header.map((_, column) => Math.max(...all.map((row) => (row[column] ?? '').length)));
  return all.map((row) =>
    widths
      .map((width, column) => (row[column] ?? '').padEnd(width))
      .join('   ')
      .trimEnd(),
  );
}

export function printTable(header: readonly string[], rows: readonly (readonly string[])[], out: Output): void {
  for (const line of formatTable(header, rows)) out.line(line);
}
