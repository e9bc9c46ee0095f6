/** What the processors of a host do for its guests, as Hosts and VirtualMachines say it. Pure; the same for as long as a worker lives. */
import type { ConditionDraft } from '#lib/api/conditions.ts';

/** Of what an executor says of its host. */
export interface KvmFacts {
  readonly hypervisor?: string;
  readonly kvm?: boolean;
}

/** Condition KVMAvailable of a Host; `facts` undefined if no executor has told yet. */
export function kvmAvailable(facts: KvmFacts | undefined): ConditionDraft {
  const type = 'KVMAvailable';
  if (facts?.kvm === undefined)
    return { type, status: 'Unknown', reason: 'NothingOfOurs', message: 'No executor has run there yet' };
  return facts.kvm
    ? { type, status: 'True', reason: 'GuestsBoot', message: 'Guests run on the processors of the host' }
    : { type, status: 'False', reason: 'NoKVM', message: withoutKvm(facts) };
}

/** Condition Emulated of a machine that runs on a host with these facts; none if it has not told of KVM. */
export function emulated(facts: KvmFacts, hostname: string): readonly ConditionDraft[] {
  const type = 'Emulated';
  if (facts.kvm === undefined) return [];
  return facts.kvm
    ? [{ type, status: 'False', reason: 'KVM', message: '' }]
    : [{ type, status: 'True', reason: 'NoKVM', message: `Host ${hostname}: ${withoutKvm(facts)}` }];
}

function withoutKvm({ hypervisor }: KvmFacts): string {
  return hypervisor === 'sim'
    ? 'machines are imitated: nothing runs in them'
    : 'no guest boots with KVM, so QEMU emulates the processor and machines are many times slower; enable virtualization in its firmware';
}
