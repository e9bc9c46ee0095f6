/** The same with the cluster server's own round of placing, its ledger and held offers; making the ledger is not measured. */
import { Ledger } from '#controllers/scheduler/ledger.ts';
import { Placement } from '#controllers/scheduler/placement.ts';
import { planRound } from '#controllers/scheduler/round.ts';
import { dominantShare, inFairOrder } from '#controllers/scheduler/waiting.ts';
import type { VirtualMachine } from '#lib/api/generated/virtualmachine.ts';
import { keyOf } from '#lib/api/meta.ts';
import type { BenchHost } from './mixes.ts';

const share = { cpu: 500, mem: 512_000 };
const nothing = { cpu: 0, mem: 0 };
const atOnce = 500;

/** Hosts that are ready, with all they have on offer. Gives what places: uid -> host name. */
export function ourPlacing(
  machines: readonly VirtualMachine[],
  hosts: readonly BenchHost[],
): () => Map<string, string> {
  const ledger: Ledger = new Ledger({ share, id: 'ex' }, (hostname) => placement.hostChanged(hostname));
  const placement: Placement = new Placement(ledger);
  for (const { hostname, labels, room } of hosts) {
    const total = { cpu: room.cpu + share.cpu, mem: room.mem + share.mem };
    ledger.setHost({ hostname, agentId: `S-${hostname}`, labels, total, readiness: 'Ready', foreign: nothing });
    ledger.addOffer({
      ...{
        id: { value: `O-${hostname}` },
        framework_id: { value: 'f' },
        agent_id: { value: `S-${hostname}` },
        hostname,
      },
      resources: [
        { name: 'cpus', type: 'SCALAR', scalar: { value: total.cpu / 1000 } },
        { name: 'mem', type: 'SCALAR', scalar: { value: total.mem / 1000 } },
      ],
    });
  }
  return () => placeAll(machines, ledger, placement);
}

function placeAll(machines: readonly VirtualMachine[], ledger: Ledger, placement: Placement): Map<string, string> {
  const uids = new Map(machines.map((vm) => [keyOf(vm), vm.metadata.uid]));
  const placed = new Map<string, string>();
  const total = ledger.total();
  let left = machines;
  for (let more = true; more; ) {
    left = left.filter(({ metadata }) => !placed.has(metadata.uid));
    const waiting = inFairOrder(left, (tenant) => dominantShare(ledger.usageOf(tenant), total));
    const round = planRound({ waiting, cluster: 'bench', ledger, placement, isHeld: () => false, atOnce });
    for (const [host, keys] of round.planned) for (const key of keys) placed.set(uids.get(key)!, host);
    more = round.more;
  }
  return placed;
}
