/** What a Subnet says of itself. Pure. */
import type { Ending, Run } from '#controllers/runtime/controller.ts';
import { type AddressPlan, isUsable } from '#lib/api/addresses.ts';
import { type ConditionDraft, withConditions } from '#lib/api/conditions.ts';
import type { IPLease, Subnet } from '#lib/api/generated/index.ts';
import { formatIPv4, parseIPv4 } from '#lib/api/ipv4.ts';
import { messageOf } from '#lib/std/errors.ts';
import type { Scope } from './scope.ts';
import { widthCondition } from './width.ts';

type Capacity = NonNullable<NonNullable<Subnet['status']>['capacity']>;

export function summarize(scope: Scope, ending: Ending, run: Run): Subnet['status'] {
  if (scope.holdStatus) return undefined;
  const { subnet } = scope;
  // Which addresses there are, and whose, only the site knows.
  const plan = subnet.spec.ipam === 'External' ? undefined : scope.plan;
  const capacity = plan && capacityOf(plan, scope.leases);
  const vni = scope.vni ?? subnet.status?.vni;
  const conditions = conditionsOf(scope, ending, capacity);
  return {
    ...(vni !== undefined && { vni }),
    ...(plan && { gateway: plan.gateway === undefined ? '' : formatIPv4(plan.gateway) }),
    ...(capacity && { capacity }),
    displayStatus: displayStatus(subnet, conditions),
    conditions: withConditions(subnet.status?.conditions ?? [], conditions, subnet.metadata.generation ?? 0, run.nowMs),
  };
}

/** Leases on addresses that were excluded later are reported as used, not evicted. */
export function capacityOf(plan: AddressPlan, leases: readonly IPLease[]): Required<Capacity> {
  const total = plan.network.last - plan.network.first + 1;
  const quarantined = leases.filter(({ status }) => status?.phase === 'Quarantined').length;
  const onUsable = leases.filter(({ spec }) => isUsable(plan, parseIPv4(spec.ip))).length;
  return {
    total,
    used: leases.length - quarantined,
    quarantined,
    excluded: total - plan.usable,
    available: Math.max(0, plan.usable - onUsable),
  };
}

function conditionsOf(scope: Scope, ending: Ending, capacity: Capacity | undefined): readonly ConditionDraft[] {
  const { subnet, invalid, vni } = scope;
  const ready = vni !== undefined && invalid === undefined;
  const failure = 'error' in ending ? messageOf(ending.error) : '';
  const why = invalid ?? (failure || ('message' in ending ? ending.message : 'Waits for a VXLAN id'));
  return [
    ready
      ? { type: 'Ready', status: 'True', reason: 'Ready', message: '' }
      : { type: 'Ready', status: 'False', reason: invalid ? 'Invalid' : 'Allocating', message: why },
    ready || invalid
      ? { type: 'Reconciling', status: 'False', reason: 'Idle', message: '' }
      : { type: 'Reconciling', status: 'True', reason: 'Allocating', message: why },
    invalid
      ? {
          type: 'Stalled',
          status: 'True',
          reason: 'Invalid',
          message: `${invalid}. Change the spec, or make a new Subnet`,
        }
      : { type: 'Stalled', status: 'False', reason: 'Progressing', message: '' },
    exhaustedCondition(subnet, capacity),
    conflictCondition(scope),
    deletionCondition(scope),
    ...widthCondition(subnet, scope.width),
  ];
}

function exhaustedCondition({ spec }: Subnet, capacity: Capacity | undefined): ConditionDraft {
  const type = 'Exhausted';
  if (spec.ipam === 'External') return { type, status: 'False', reason: 'External', message: '' };
  const { available = 0, used = 0, quarantined = 0 } = capacity ?? {};
  if (!capacity) return { type, status: 'Unknown', reason: 'Invalid', message: '' };
  if (available === 0) {
    const message = `All addresses of ${spec.cidr} are taken: ${used} in use, ${quarantined} in quarantine. Make another Subnet`;
    return { type, status: 'True', reason: 'NoFreeAddress', message };
  }
  const nearly = used + quarantined >= 9 * available;
  return { type, status: 'False', reason: nearly ? 'NearlyExhausted' : 'AddressesFree', message: '' };
}

/** The server refuses what leads here when it sees it; two writes at once may pass each other. */
function conflictCondition({ subnet, plan, leases }: Scope): ConditionDraft {
  const type = 'Conflict';
  const gateway = plan?.gateway === undefined || subnet.spec.ipam === 'External' ? undefined : formatIPv4(plan.gateway);
  const both = leases.find(({ spec }) => spec.ip === gateway);
  if (!both) return { type, status: 'False', reason: 'NoConflict', message: '' };
  const message = `${both.spec.ip} is the gateway and leased to ${both.spec.holderName ?? 'nobody by name'}. Change the gateway back, or delete that machine`;
  return { type, status: 'True', reason: 'GatewayLeased', message };
}

function deletionCondition({ subnet, leases, outside }: Scope): ConditionDraft {
  const type = 'DeletionBlocked';
  if (subnet.metadata.deletionTimestamp && outside.length > 0) {
    const message = `${outside.length} machines are on it, for example ${outside.slice(0, 3).join(', ')}. It goes when the last is gone`;
    return { type, status: 'True', reason: 'InUse', message };
  }
  const inUse = leases.filter(({ status }) => status?.phase !== 'Quarantined');
  if (!subnet.metadata.deletionTimestamp || inUse.length === 0)
    return { type, status: 'False', reason: 'NotBlocked', message: '' };
  const examples = inUse.slice(0, 3).map(({ spec }) => `${spec.ip} of ${spec.holderName ?? 'nobody'}`);
  const message = `${inUse.length} addresses are in use, for example ${examples.join(', ')}. It goes when the last is released`;
  return { type, status: 'True', reason: 'InUse', message };
}

function displayStatus({ metadata }: Subnet, conditions: readonly ConditionDraft[]): string {
  const holds = (type: string) => conditions.some((one) => one.type === type && one.status === 'True');
  if (metadata.deletionTimestamp) return 'Terminating';
  if (holds('Stalled')) return 'Invalid';
  if (holds('Exhausted')) return 'Exhausted';
  return holds('Ready') ? 'Ready' : 'Pending';
}
