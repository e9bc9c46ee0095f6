/** What the kernel says is mounted where. Reading it never asks a file system anything, so a dead one cannot hold it up. */
import { readFileSync } from 'node:fs';

export interface MountEntry {
  /** Of a mount as long as it lasts; given again afterwards. */
  readonly id: number;
  /** major:minor of what is mounted, the same for all mounts of it. */
  readonly device: string;
  readonly point: string;
  readonly type: string;
  readonly source: string;
  readonly options: string;
  /** Nobody can write through this mount; others of the same file system may let them. */
  readonly readOnly: boolean;
}

/** In the order of mounting: of several at one point the last is what is seen there. */
export function parseMountinfo(text: string): readonly MountEntry[] {
  return text.split('\n').flatMap((line) => {
    const [id, , device, , point, flags = '', ...rest] = line.split(' ');
    const [type, source, options = ''] = rest.slice(rest.indexOf('-') + 1);
    if (device === undefined || point === undefined || type === undefined || source === undefined) return [];
    const readOnly = flags.split(',').includes('ro');
    return [
      { id: Number(id), device, point: unescapePath(point), type, source: unescapePath(source), options, readOnly },
    ];
  });
}

/** What is seen at `point` in our own mount namespace. */
export function mountAt(point: string): MountEntry | undefined {
  return parseMountinfo(readFileSync('/proc/self/mountinfo', 'utf8')).findLast((entry) => entry.point === point);
}

/** The kernel writes blanks and backslashes of a name in octal. */
function unescapePath(text: string): string {
  return text.replaceAll(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
}
