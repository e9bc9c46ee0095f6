/**
 * QEMU's processes, known while they run, to see whether they are gone when libvirt says that the guest is off. libvirt says so when it has
 * lost its connection to one that was killed; but one that waits in the kernel for a file system that hangs is still there, holds its
 * files and locks, and may yet write. Written down beside the machine's disks, because the executor may be started anew meanwhile.
 */
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { writeFileAtomic } from '#lib/std/files.ts';
import type { ProcessIdentity } from '#lib/std/process-identity.ts';
import { machineDirectory } from '../disks/disks.ts';
import { isEnding, isThere } from '../processes/kernel.ts';
import { QemuProcesses } from '../processes/qemu.ts';

export interface QemuBookOptions {
  /** Holds `vms/<uid>/`; nothing is written down without it. */
  readonly root?: string | undefined;
  /** What finds QEMUs that run. */
  readonly processes?: Pick<QemuProcesses, 'look'>;
}

export class QemuBook {
  readonly #root: string | undefined;
  readonly #processes: Pick<QemuProcesses, 'look'>;
  readonly #known = new Map<string, ProcessIdentity>();

  constructor({ root, processes = new QemuProcesses() }: QemuBookOptions = {}) {
    this.#root = root;
    this.#processes = processes;
  }

  /** To be told whenever libvirt says that the guest runs. */
  runs(uid: string): void {
    if (this.#left(uid)) return;
    const its = this.#processes.look().find((each) => each.uid === uid);
    if (!its) return;
    const found = { pid: its.pid, startTime: its.startTime };
    this.#known.set(uid, found);
    const file = this.#fileOf(uid);
    if (file && existsSync(dirname(file))) writeFileAtomic(file, JSON.stringify(found));
  }

  /** The process of a guest that libvirt says is off, if it is not gone. */
  leftOf(uid: string): ProcessIdentity | undefined {
    const left = this.#left(uid);
    if (!left) this.#known.delete(uid);
    return left;
  }

  /** uids of guests whose process was killed and is there. */
  stuck(): readonly string[] {
    return [...this.#known].flatMap(([uid, its]) => (isThere(its) && isEnding(String(its.pid)) ? [uid] : []));
  }

  #left(uid: string): ProcessIdentity | undefined {
    const known = this.#known.get(uid) ?? this.#read(uid);
    if (!known || !isThere(known)) return undefined;
    this.#known.set(uid, known);
    return known;
  }

  #read(uid: string): ProcessIdentity | undefined {
    const file = this.#fileOf(uid);
    try {
      return file === undefined ? undefined : (JSON.parse(readFileSync(file, 'utf8')) as ProcessIdentity);
    } catch {
      return undefined; // never seen running
    }
  }

  #fileOf(uid: string): string | undefined {
    return this.#root === undefined ? undefined : join(machineDirectory(this.#root, uid), 'qemu.json');
  }
}
