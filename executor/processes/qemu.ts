/**
 * The processes of guests, found without libvirt, which may be dead or stopped. Whoever looks for QEMU on a host looks here. What a process
 * runs is read once, soon after it starts: the command line of one that hangs in the kernel may not be readable any more.
 */
import { identifyProcess, isRunning, type ProcessIdentity, signalProcess } from '#lib/std/process-identity.ts';
import { argumentsOf, nameOf, processIds } from './kernel.ts';

/** qemu-img only works on files. */
const runsGuests = /^(qemu-(?!img)|kvm)/;
const servesGuests = /^virtiofsd/;

export interface QemuProcess extends ProcessIdentity {
  /** Of the machine. */
  readonly uid: string;
}

export class QemuProcesses {
  readonly #known = new Map<number, ProcessIdentity & { readonly uid: string | undefined }>();

  /** All of our machines that run now, also in the process namespaces of pretended hosts. */
  look(): readonly QemuProcess[] {
    const found = processIds().flatMap((pid) =>
      runsGuests.test(nameOf(pid)) ? (this.#identify(Number(pid)) ?? []) : [],
    );
    const living = new Set(found.map(({ pid }) => pid));
    for (const pid of this.#known.keys()) if (!living.has(pid)) this.#known.delete(pid);
    return found.flatMap(({ uid, ...identity }) => (uid === undefined ? [] : [{ uid, ...identity }]));
  }

  #identify(pid: number): (ProcessIdentity & { readonly uid: string | undefined }) | undefined {
    const identity = identifyProcess(pid);
    if (!identity) return undefined;
    const known = this.#known.get(pid);
    if (known?.startTime === identity.startTime && known.uid !== undefined) return known;
    const now = { ...identity, uid: machineOf(argumentsOf(String(pid))) };
    this.#known.set(pid, now);
    return now;
  }

  /** Kills what runs of these machines, and says what it was. SIGKILL: nothing of a guest runs on after that. */
  cut(uids: ReadonlySet<string>): readonly QemuProcess[] {
    const doomed = this.look().filter(({ uid }) => uids.has(uid));
    for (const each of doomed) if (isRunning(each)) signalProcess(each.pid, 'SIGKILL');
    return doomed;
  }
}

/** Every process that runs a guest, or serves it files, whosever the guest is; with what to call it: our machine's uid, if it says so. */
export function guestProcesses(): readonly { readonly pid: string; guest(): string }[] {
  const isOfGuest = (name: string): boolean => runsGuests.test(name) || servesGuests.test(name);
  return processIds().flatMap((pid) => {
    const guest = (): string => machineOf(argumentsOf(pid)) ?? `process ${pid}`;
    return isOfGuest(nameOf(pid)) ? [{ pid, guest }] : [];
  });
}

/** As libvirt names the guest on QEMU's command line: `-name guest=cf-<uid>,debug-threads=on`. Undefined for guests of others. */
export function machineOf(words: readonly string[]): string | undefined {
  const name = words[words.indexOf('-name') + 1];
  return /^(?:guest=)?cf-([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})(?:,|$)/.exec(name ?? '')?.[1];
}
