/** A ledger and placement over hosts that offer all they have: for tests of what is decided on them. */
import { readRules } from '#lib/api/placement-rules.ts';
import type { Offer } from '#mesos/types.ts';
import { Ledger, type LedgerHost, type LedgerOptions } from '../ledger.ts';
import { Placement, type PlacementAsk } from '../placement.ts';
import type { Room } from '../room.ts';
import type { Member } from '../tallies.ts';

const share: Room = { cpu: 500, mem: 512_000 };

export function cluster(options: Partial<LedgerOptions> = {}) {
  const ledger: Ledger = new Ledger({ share, id: 'ex', ...options }, (hostname) => placement.hostChanged(hostname));
  const placement: Placement = new Placement(ledger);
  let offers = 0;
  const offer = (hostname: string, cpus: number, mem: number): Offer => ({
    id: { value: `O${offers++}` },
    framework_id: { value: 'f' },
    agent_id: { value: `agent-${hostname}` },
    hostname,
    resources: [
      { name: 'cpus', type: 'SCALAR', scalar: { value: cpus } },
      { name: 'mem', type: 'SCALAR', scalar: { value: mem } },
    ],
  });
  function add(hostname: string, cpus: number, mem: number, more: Partial<LedgerHost> = {}): void {
    const total = { cpu: cpus * 1000, mem: mem * 1000 };
    const bare = { hostname, agentId: `agent-${hostname}`, labels: {}, total, readiness: 'Ready' as const };
    ledger.setHost({ ...bare, foreign: { cpu: 0, mem: 0 }, ...more });
    ledger.addOffer(offer(hostname, cpus, mem));
  }
  return { ledger, placement, add, offer };
}

type Spec = Parameters<typeof readRules>[0];
/** A machine of 1 core with these rules. */
export const one = (placement: Spec, more: Partial<Member> = {}): PlacementAsk => ({
  room: { cpu: 1000, mem: 64_000 },
  member: { namespace: 'n', group: 'g', labels: {}, rules: readRules(placement), ...more },
});

export const ask = (cores: number, mem = 1024): { room: Room } => ({ room: { cpu: cores * 1000, mem: mem * 1000 } });
