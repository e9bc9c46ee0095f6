/** Names inside the guest that follow from the machine alone, so that every program and every retry makes the same ones. */
import { createHash } from 'node:crypto';
import type { VirtualMachine } from '#lib/api/generated/index.ts';

/**
 * The MAC addresses an interface may have, best first: 52:54:00 and 24 bits of a hash of the machine's uid and the index of the
 * interface. Among a few thousand machines of one subnet two will agree on the first; the second of them takes its next.
 */
export function macCandidates(uid: string, index: number): readonly string[] {
  return ['', '/1', '/2', '/3'].map((again) => {
    const bytes = createHash('sha256').update(`${uid}/${index}${again}`).digest().subarray(0, 3);
    return ['52', '54', '00', ...[...bytes].map((byte) => byte.toString(16).padStart(2, '0'))].join(':');
  });
}

/** What the guest is told: the spec's, else the object's name; shortened to <first 9>-<5 of the uid> where the system allows less. */
export function guestHostname(vm: VirtualMachine, osType: 'Linux' | 'Windows' | 'Other'): string {
  if (vm.spec.hostname) return vm.spec.hostname;
  const name = vm.metadata.name.replaceAll('.', '-');
  const longest = osType === 'Windows' ? 15 : 63;
  return name.length <= longest ? name : `${name.slice(0, 9)}-${base32(vm.metadata.uid).slice(0, 5)}`;
}

const alphabet = 'abcdefghijklmnopqrstuvwxyz234567';

function base32(uid: string): string {
  return [...createHash('sha256').update(uid).digest()].map((byte) => alphabet[byte & 31]).join('');
}
