/** What docs/hosts.md has its reader do, step by step in its order, taken from the page itself. */

export type Step =
  | { readonly where: 'host' | 'desk'; readonly command: string }
  | { readonly where: 'host'; readonly file: string; readonly text: string };

/** Commands are lines that are indented, files are blocks with fences, each below a line that ends in the file's path. */
export function stepsOf(page: string): readonly Step[] {
  const steps: Step[] = [];
  let block: { readonly file: string; readonly lines: string[] } | undefined;
  let above = '';
  for (const line of page.split('\n')) {
    if (block && line !== '```') block.lines.push(line);
    else if (block) {
      steps.push({ where: 'host', file: block.file, text: `${block.lines.join('\n')}\n` });
      block = undefined;
    } else if (line.startsWith('```')) {
      const [, file] = /`(\/[^`]+)`:$/.exec(above) ?? [];
      if (file === undefined)
        throw new Error(`A block below "${above}" is no file: the line above has to end in its path`);
      block = { file, lines: [] };
    } else if (/^ {4}\S/.test(line)) steps.push({ where: placeOf(line.trim()), command: line.trim() });
    if (line.trim() !== '') above = line;
  }
  return steps;
}

/** As the page tells its reader. */
function placeOf(command: string): 'host' | 'desk' {
  return /^(bin\/|hack\/|scp )/.test(command) ? 'desk' : 'host';
}
