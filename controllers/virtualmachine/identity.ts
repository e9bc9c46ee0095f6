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

/**
 * What the guest may be called, best first: the spec's name, else the object's; where the system allows less, or another machine of the
 * pool has it, <first 9>-<5 of the uid>. Windows takes 15 characters (NetBIOS), and no name of digits alone.
 */
export function hostnameCandidates(
  { metadata, spec }: VirtualMachine,
  osType: 'Linux' | 'Windows' | 'Other',
): readonly string[] {
  const wanted = spec.hostname || metadata.name.replaceAll('.', '-');
  const fits = osType === 'Windows' ? wanted.length <= 15 && /\D/.test(wanted) : wanted.length <= 63;
  const letters = base32(metadata.uid);
  const short = [0, 5, 10, 15].map((at) => `${wanted.slice(0, 9)}-${letters.slice(at, at + 5)}`);
  return fits ? [wanted, ...short] : short;
}

const alphabet = 'abcdefghijklmnopqrstuvwxyz234567';

function base32(uid: string): string {
  return [...createHash('sha256').update(uid).digest()].map((byte) => alphabet[byte & 31]).join('');
}
