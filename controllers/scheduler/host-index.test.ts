import { expect, test } from 'vitest';
import { fc } from '#test/properties.ts';
import { Changes } from './changes.ts';
import { HostIndex } from './host-index.ts';
import type { HostView } from './ledger.ts';
import { fits, type Room } from './room.ts';

function view(hostname: string, offered: Room): HostView {
  const bare = { agentId: hostname, labels: {}, total: offered, readiness: 'Ready' as const, foreign: offered };
  return { host: { hostname, ...bare }, free: offered, offered, machines: 0, isBusy: false };
}

const room = fc.record({ cpu: fc.integer({ min: 0, max: 9000 }), mem: fc.integer({ min: 0, max: 9_000_000 }) });

test('a host that fits is found whenever there is one that is accepted, after any number of moves', () => {
  const moves = fc.array(fc.record({ host: fc.nat(120), room }), { maxLength: 300 });
  fc.assert(
    fc.property(moves, room, fc.nat(3), (all, ask, modulo) => {
      const index = new HostIndex();
      const now = new Map<string, HostView>();
      for (const { host, room: offered } of all) {
        now.set(`h${host}`, view(`h${host}`, offered));
        index.set(`h${host}`, now.get(`h${host}`));
      }
      const accept = ({ host }: HostView) => Number(host.hostname.slice(1)) % 4 >= modulo;
      const possible = [...now.values()].filter((one) => fits(ask, one.offered!) && accept(one));
      const found = index.bestFit(ask, accept);
      if (!found) {
        expect(possible).toEqual([]);
        return;
      }
      expect(possible).toContain(found);
      const leastCores = Math.min(...possible.map(({ offered }) => Math.floor(offered!.cpu / 1000)));
      // With many too small ones before it, one with more cores may be taken instead.
      if (now.size <= 64) expect(Math.floor(found.offered!.cpu / 1000)).toBe(leastCores);
    }),
  );
});

test('Changes: a reader gets what it has not read, and is told when it is too far behind', () => {
  const changes = new Changes();
  const start = changes.end;
  for (let index = 0; index < 8; index++) changes.add(`h${index}`, 4);
  expect(changes.since(start)).toEqual(['h0', 'h1', 'h2', 'h3', 'h4', 'h5', 'h6', 'h7']);
  const later = changes.end;
  changes.add('h8', 4);
  expect(changes.since(later)).toEqual(['h8']);
  expect(changes.since(start)).toBeUndefined();
  expect(changes.since(changes.end)).toEqual([]);
});
