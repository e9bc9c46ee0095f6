/**
 * Whether KVM can run a guest here. That /dev/kvm opens proves nothing, and neither does what libvirt advertises: under some nested
 * hypervisors every instruction of a guest is emulated one by one, so that firmware starts and kernels hang or die. So a guest of one
 * sector is started, which does what kernels do at once: paging and long mode, an exception and the return from it, and a loop that takes a
 * processor a blink and an emulator minutes. QEMU and the host can be slow, too: the answer is kept for as long as both stay the same.
 */
import { mkdtempDisposable, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { writeFileAtomic } from '#lib/std/files.ts';
import { runCommand } from './command.ts';

export interface KvmVerdict {
  readonly boots: boolean;
  /** A sentence: what was seen. */
  readonly why: string;
}

export interface KvmProbeOptions {
  /** Where the answer is kept. */
  readonly file: string;
  /** Another one after every boot: a new kernel may do what the last one could not. */
  readonly bootId: string;
  /** What QEMU is asked for; guests get KVM and the host's own processor. */
  readonly machine?: { readonly accel: 'kvm' | 'tcg'; readonly cpu: string };
  readonly deadlineMs?: number;
}

interface Kept extends KvmVerdict {
  readonly bootId: string;
  readonly qemu: string;
}

/** A host where KVM works needs less than a second. */
const probeMs = 15_000;
/** Whatever becomes of who started it: no more processor time (s), no more memory than this, and no core file. */
const limits = ['--cpu=15', `--as=${2 ** 32}`, '--core=0'] as const;
const sandbox = 'on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny';

/** Asked once per boot and version of QEMU. Rejects if there is no QEMU, or the answer cannot be kept. */
export async function probeKvm(options: KvmProbeOptions): Promise<KvmVerdict> {
  const { file, bootId } = options;
  const qemu = (await runCommand('qemu-system-x86_64', ['--version'])).split('\n', 1)[0]!;
  const kept = await readKept(file);
  if (kept?.bootId === bootId && kept.qemu === qemu) return { boots: kept.boots, why: kept.why };
  const verdict = await tryGuest(options);
  writeFileAtomic(file, JSON.stringify({ bootId, qemu, ...verdict } satisfies Kept));
  return verdict;
}

async function readKept(file: string): Promise<Kept | undefined> {
  try {
    return JSON.parse(await readFile(file, 'utf8')) as Kept;
  } catch {
    return undefined; // never asked, or cut off: asked again
  }
}

async function tryGuest({ machine = { accel: 'kvm', cpu: 'host' }, deadlineMs = probeMs }: KvmProbeOptions) {
  await using directory = await mkdtempDisposable(join(tmpdir(), 'cf-kvm-'));
  const disk = join(directory.path, 'disk');
  await writeFile(disk, bootSector());
  const qemu = [
    ...['-accel', machine.accel, '-cpu', machine.cpu, '-machine', 'pc', '-m', '16', '-nodefaults', '-no-user-config'],
    // It resets itself at the end, on which QEMU exits instead.
    ...['-no-reboot', '-display', 'none', '-serial', 'stdio', '-sandbox', sandbox],
    ...['-drive', `file=${disk},format=raw,if=ide`],
  ];
  try {
    const printed = await runCommand('prlimit', [...limits, 'qemu-system-x86_64', ...qemu], { deadlineMs });
    if (printed.includes(done)) return { boots: true, why: 'A guest of one sector ran to its end' };
    return { boots: false, why: 'A guest of one sector came to an end without having said so' };
  } catch (error) {
    // Without the command line, which is ours and says nothing to anybody.
    const [, said = String(error)] = /format=raw,if=ide: (.*)/.exec(String(error)) ?? [];
    return { boots: false, why: `A guest of one sector: ${said}` };
  }
}

/** What the guest prints when everything went well. */
const done = 'K';

/** Where in the sector what is; the firmware puts it at 0x7c00. Page tables are made at 0x1000 to 0x3fff, the interrupt table at 0x4000. */
const sector: Readonly<Record<number, readonly string[]>> = {
  // 16 bits.
  0: [
    'fa 31c0 8ed8 8ec0', //                       cli; ds = es = 0
    'bf0010 6631c0 b90010 fc 66f3ab', //          clear 16 KiB from 0x1000
    'c70600100320 c70600200330 c606003083', //    level 4 -> 0x2000, level 3 -> 0x3000, one page of 2 MiB
    'c7063040f07c c606324018 c60635408e', //      interrupt 3: the handler at 0x7cf0, 64-bit code, an interrupt gate
    '0f0116207d 0f20c0 0c01 0f22c0', //           lgdt; cr0.PE
    'ea607c0800', //                              far jump
  ],
  // 32 bits.
  96: [
    '66b81000 8ed8 8ed0 bc007c0000', //           ds = ss = data; a stack
    'b820000000 0f22e0 b800100000 0f22d8', //     cr4.PAE; cr3
    'b9800000c0 0f32 80cc01 0f30', //             EFER.LME
    '0f20c0 0d00000080 0f22c0', //                cr0.PG
    'eaa07c00001800', //                          far jump
  ],
  // 64 bits.
  160: [
    '0f011c25287d0000', //                        lidt
    'b900000004 ffc9 75fc', //                    64 Mi times round a loop
    'cc', //                                      int3, and back
    '66baf803 b04b ee', //                        'K' to the serial port
    'b0fe e664 f4 ebfd', //                       reset by the keyboard controller; halt
  ],
  240: ['48cf'], //                              the handler: iretq
  // Descriptors: none, 32-bit code, data, 64-bit code; then what lgdt and lidt read.
  256: ['0000000000000000 ffff0000009acf00 ffff00000092cf00 ffff0000009aaf00'],
  288: ['1f00 007d0000'],
  296: ['ff03 0040000000000000'],
  510: ['55aa'],
};

function bootSector(): Buffer {
  const bytes = Buffer.alloc(512);
  for (const [at, code] of Object.entries(sector)) bytes.write(code.join('').replaceAll(' ', ''), Number(at), 'hex');
  return bytes;
}
