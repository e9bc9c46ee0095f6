/**
 * Who is on a subnet here, as files: `<root>/network/<vni>/machines/<uid>.json`, and which other hosts carry it: `peers.json`. They are
 * written before anything is made in the kernel and removed after it is gone, so that what they say is never less than what there is; who
 * counts them knows who is last.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { MachineNetwork } from '#lib/api/launch.ts';
import { writeFileAtomic } from '#lib/std/files.ts';

export interface Attachment {
  readonly uid: string;
  readonly hostname: string;
  readonly network: MachineNetwork;
}

export class SubnetFiles {
  readonly #root: string;

  constructor(root: string) {
    this.#root = join(root, 'network');
  }

  directory(vni: number): string {
    return join(this.#root, String(vni));
  }

  put(attachment: Attachment): void {
    const directory = join(this.directory(attachment.network.vni), 'machines');
    mkdirSync(directory, { recursive: true, mode: 0o755 });
    writeFileAtomic(join(directory, `${attachment.uid}.json`), JSON.stringify(attachment));
  }

  remove(vni: number, uid: string): void {
    rmSync(join(this.directory(vni), 'machines', `${uid}.json`), { force: true });
  }

  /** In the order of uids, so that what is written from them is stable. */
  attachments(vni: number): readonly Attachment[] {
    const directory = join(this.directory(vni), 'machines');
    return namesIn(directory)
      .filter((name) => name.endsWith('.json'))
      .sort()
      .map((name) => JSON.parse(readFileSync(join(directory, name), 'utf8')) as Attachment);
  }

  putPeers(vni: number, peers: readonly string[]): void {
    writeFileAtomic(join(this.directory(vni), 'peers.json'), JSON.stringify(peers));
  }

  /** None if nobody has told of any. */
  peers(vni: number): readonly string[] {
    try {
      return JSON.parse(readFileSync(join(this.directory(vni), 'peers.json'), 'utf8')) as readonly string[];
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
      throw error;
    }
  }

  /** Which of the host's ways out the subnet has, from 0; given for as long as a machine of it is here. */
  egressIndex(vni: number): number {
    const taken = new Map(this.subnets().flatMap((each) => this.#egress(each).map((index) => [each, index])));
    const own = taken.get(vni);
    if (own !== undefined) return own;
    const others = new Set(taken.values());
    let index = 0;
    while (others.has(index)) index += 1;
    writeFileAtomic(join(this.directory(vni), 'egress.json'), JSON.stringify(index));
    return index;
  }

  #egress(vni: number): readonly number[] {
    try {
      return [JSON.parse(readFileSync(join(this.directory(vni), 'egress.json'), 'utf8')) as number];
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
      throw error;
    }
  }

  hasEgress(vni: number): boolean {
    return this.#egress(vni).length > 0;
  }

  /** Others than this one that have a way out. */
  othersWithEgress(vni: number): boolean {
    return this.subnets().some((each) => each !== vni && this.#egress(each).length > 0);
  }

  /** It has a router without a way out. */
  hasRouter(vni: number): boolean {
    return existsSync(join(this.directory(vni), 'router'));
  }

  putRouter(vni: number): void {
    writeFileAtomic(join(this.directory(vni), 'router'), '');
  }

  subnets(): readonly number[] {
    return namesIn(this.#root)
      .filter((name) => /^\d+$/.test(name))
      .map(Number);
  }

  owners(): readonly string[] {
    const uids = this.subnets().flatMap((vni) => this.attachments(vni).map(({ uid }) => uid));
    return [...new Set(uids)];
  }

  removeSubnet(vni: number): void {
    rmSync(this.directory(vni), { recursive: true, force: true });
  }
}

function namesIn(directory: string): readonly string[] {
  try {
    return readdirSync(directory);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}
