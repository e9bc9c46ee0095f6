/** The whole system with imitated machines in virtual time, as the chaos run has it, but nothing goes wrong by itself. */
import { Host } from '#lib/api/generated/index.ts';
import { hostObjectName } from '#lib/api/names.ts';
import { clusterName, World } from './chaos/world.ts';

export interface Lab extends Disposable {
  readonly world: World;
  /** By uid: how often its power was switched on, and how it was switched off by order. */
  readonly starts: Map<string, number>;
  readonly cuts: Map<string, string[]>;
  /** `UID taken` and `UID stayed`, of what was sent from host to host. */
  readonly moves: string[];
}

/** Two hosts, of which the second one takes no machines: its Host is unschedulable. */
export async function openLab(): Promise<Lab> {
  const starts = new Map<string, number>();
  const cuts = new Map<string, string[]>();
  const moves: string[] = [];
  const ignore = () => undefined;
  const world = new World({
    ...{ seed: 1, hosts: 2, ears: { sent: ignore, heard: ignore, closed: ignore } },
    tampering: {
      request: (_from, _to, _path, body) => ({ body }),
      chunk: (_from, _to, chunk) => ({ pieces: [chunk] }),
    },
    witness: {
      started: (_host, uid) => starts.set(uid, (starts.get(uid) ?? 0) + 1),
      took: (_host, uid) => moves.push(`${uid} taken`),
      stayed: (_host, uid) => moves.push(`${uid} stayed`),
      cut: (_host, uid, how) => cuts.set(uid, [...(cuts.get(uid) ?? []), how]),
      fenced: (_host, uid) => cuts.set(uid, [...(cuts.get(uid) ?? []), 'fence']),
      erased: ignore,
    },
  });
  await world.start();
  await world.clock.advance(30_000);
  await world.api.patch(Host, { name: hostObjectName(clusterName, 'h2') }, { spec: { unschedulable: true } });
  return { world, starts, cuts, moves, [Symbol.dispose]: () => world[Symbol.dispose]() };
}
