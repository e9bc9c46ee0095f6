/**
 * The QEMU processes of our machines, found and killed without libvirt, which may be dead or stopped. What a process runs is read once, soon
 * after it starts: the command line of one that hangs in the kernel may not be readable any more.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { identifyProcess, isRunning, type ProcessIdentity, signalProcess } from '#lib/std/process-identity.ts';

export interface QemuProcess extends ProcessIdentity {
  /** Of the machine. */
  readonly uid: string;
}

export class QemuProcesses {
  readonly #known = new Map<number, ProcessIdentity & { readonly uid: string | undefined }>();

  /** All that run now, also in the process namespaces of pretended hosts. */
  look(): readonly QemuProcess[] {
    const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
    const found = pids.flatMap((name) => {
      const comm = read(name, 'comm');
      const isQemu = comm !== undefined && /^(qemu|kvm)/.test(comm);
      return isQemu ? (this.#identify(Number(name)) ?? []) : [];
    });
    const living = new Set(found.map(({ pid }) => pid));
    for (const pid of this.#known.keys()) if (!living.has(pid)) this.#known.delete(pid);
    return found.flatMap(({ uid, ...identity }) => (uid === undefined ? [] : [{ uid, ...identity }]));
  }

  #identify(pid: number): (ProcessIdentity & { readonly uid: string | undefined }) | undefined {
    const identity = identifyProcess(pid);
    if (!identity) return undefined;
    const known = this.#known.get(pid);
    if (known?.startTime === identity.startTime && known.uid !== undefined) return known;
    const now = { ...identity, uid: machineOf(read(String(pid), 'cmdline') ?? '') };
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

/** As libvirt names the guest on QEMU's command line: `-name guest=cf-<uid>,debug-threads=on`. Undefined for guests of others. */
export function machineOf(cmdline: string): string | undefined {
  const words = cmdline.split('\0');
  const name = words[words.indexOf('-name') + 1];
  return /^(?:guest=)?cf-([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})(?:,|$)/.exec(name ?? '')?.[1];
}

function read(pid: string, file: string): string | undefined {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'utf8');
  } catch {
    return undefined; // gone meanwhile
  }
}
