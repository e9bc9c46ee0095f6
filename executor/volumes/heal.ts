/** What Gluster has still to copy to bricks that were away, by its own command: it counts files, one entry for each brick that knows of one. */
import { runCommand } from '../libvirt/command.ts';
import { parseXml } from '../libvirt/xml.ts';

const commandMs = 30_000;

export interface Heal {
  /** Files that wait to be healed. */
  readonly healPending?: number;
  /** Files whose copies differ so that Gluster does not know which is right. */
  readonly splitBrain?: number;
}

/** undefined where it cannot be asked: the host does not belong to Gluster's pool, or its volume keeps no copies. */
export async function healOf(gluster: readonly string[], volume: string): Promise<Heal | undefined> {
  const [program, ...first] = gluster;
  const args = [...first, '--mode=script', '--xml', 'volume', 'heal', volume, 'info', 'summary'];
  try {
    return parseHeal(await runCommand(program!, args, { deadlineMs: commandMs }));
  } catch {
    return undefined;
  }
}

/** The most that any brick tells: all of them tell of the same files. Bricks that are away tell "-". */
export function parseHeal(xml: string): Heal {
  const bricks = [(parseXml(xml) as SummaryXml).cliOutput?.healInfo?.bricks?.brick ?? []].flat();
  const most = (count: (brick: BrickXml) => string | number | undefined): number =>
    Math.max(0, ...bricks.map((brick) => Number(count(brick))).filter(Number.isFinite));
  return {
    healPending: most((brick) => brick.numberOfEntriesInHealPending),
    splitBrain: most((brick) => brick.numberOfEntriesInSplitBrain),
  };
}

interface SummaryXml {
  readonly cliOutput?: {
    readonly healInfo?: { readonly bricks?: { readonly brick?: BrickXml | readonly BrickXml[] } };
  };
}

interface BrickXml {
  readonly numberOfEntriesInHealPending?: string | number;
  readonly numberOfEntriesInSplitBrain?: string | number;
}
