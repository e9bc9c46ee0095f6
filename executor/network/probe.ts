/**
 * Asks on the wire whether somebody has an address, as RFC 5227 does but in a second: a few ARP requests from nobody (0.0.0.0) out of the
 * subnet's bridge, which reach this host's guests and, by the tunnel, those of others. Who has the address answers.
 */
import type { AddressConflict, MachineNetwork } from '#lib/api/launch.ts';
import type { Clock } from '#lib/std/clock.ts';
import { runCommand } from '../libvirt/command.ts';
import { bridgeName } from './names.ts';

const probes = 3;
/** From one to the next; each is listened for a second. */
const apartMs = 250;

export class AddressConflictError extends Error {
  readonly conflict: AddressConflict;

  constructor(conflict: AddressConflict) {
    const { subnet, ip, mac } = conflict;
    super(`Address ${ip} of subnet ${subnet} is in use: ${mac} answers at it, which is not this machine`);
    this.name = 'AddressConflictError';
    this.conflict = conflict;
  }
}

/** Throws AddressConflictError; Error if it cannot be asked. The machine's own MAC is nobody else. */
export async function requireNobodyAt(network: MachineNetwork, netns: string | undefined, clock: Clock): Promise<void> {
  const { subnet, ip, mac } = network;
  const answers = await Promise.all(
    Array.from({ length: probes }, async (_, n) => {
      await clock.sleep(n * apartMs);
      return await whoAnswers(network, netns);
    }),
  );
  const other = answers.find((answer) => answer !== undefined && answer !== mac);
  if (other !== undefined) throw new AddressConflictError({ subnet, ip, mac: other });
}

async function whoAnswers({ vni, ip }: MachineNetwork, netns: string | undefined): Promise<string | undefined> {
  const args = ['arping', '-D', '-c', '1', '-w', '1', '-I', bridgeName(vni), ip];
  // It ends with 1 if somebody answers.
  const said = await runCommand('busybox', args, { netns, answers: [1] });
  const mac = / from \S+ \[([0-9a-f]{1,2}(?::[0-9a-f]{1,2}){5})\]/.exec(said)?.[1];
  if (mac === undefined && !/Received 0 response/.test(said))
    throw new Error(`busybox ${args.join(' ')} says what cannot be read: ${JSON.stringify(said)}`);
  return mac?.replace(/[0-9a-f]+/g, (byte) => byte.padStart(2, '0'));
}
