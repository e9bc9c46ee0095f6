/**
 * The Gluster volumes that are mounted on this host, and who uses them: one mount for each, from its first holder to its last. Holders are
 * written down before anything is mounted and removed after all is put back, so every step is safe to repeat after a kill anywhere
 * between two, and a mount that an earlier life of the executor made is taken over as it is. A machine gets a path only after the mount was
 * seen to be there, alive and writable, and the Volume's own marker in it: never a directory of the host.
 */
import { mkdirSync, readdirSync, readFileSync, rmdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Clock } from '#lib/std/clock.ts';
import { messageOf } from '#lib/std/errors.ts';
import { writeFileAtomic } from '#lib/std/files.ts';
import type { Log } from '#lib/std/log.ts';
import { oneAtATime } from '../network/one-at-a-time.ts';
import { lookAtMount, type MountPlace, mountVolume, requireOurs, unmountVolume } from './client.ts';
import { VolumeError } from './errors.ts';
import type { WriterToken } from './hand/writers.ts';
import { Hand, type MountRef } from './hand.ts';
import { judge, type MountHealth, type Probed } from './health.ts';
import {
  type GlusterVolume,
  isVolumeName,
  onHost,
  onVolume,
  requireSafeHost,
  requireSafeVolume,
  requireUid,
  type VolumeSpec,
} from './layout.ts';
import { limitUsage } from './quota.ts';

export interface VolumesOptions {
  /** State is kept in `<root>/volumes/`. */
  readonly root: string;
  /** Unlike all other hosts of the cluster's; a file name. */
  readonly host: string;
  readonly netns?: string | undefined;
  /** Gluster's command line, for quotas. */
  readonly gluster?: readonly string[];
  /** How long a mount may take to answer before it counts as hung. */
  readonly answerMs?: number;
  readonly clock: Clock;
  readonly log: Log;
}

/** What a machine is to have of a Volume. */
export interface Attachment {
  /** uid of the machine. */
  readonly machine: string;
  readonly volume: VolumeSpec;
  /** Of a Disk: who writes, and who did and is proven gone. */
  readonly writer?: { readonly token: WriterToken; readonly gone?: WriterToken };
}

export type MountReport = MountHealth & {
  /** Name of the Gluster volume. */
  readonly name: string;
  /** uids of machines, and of Volumes that are being made. */
  readonly holders: readonly string[];
};

interface Holder {
  readonly gluster: GlusterVolume;
  readonly disks: readonly { readonly uid: string; readonly token: WriterToken }[];
}

const answerMsDefault = 10_000;
/** Making a disk or removing a directory with many files. */
const workMs = 120_000;
const leaveTries = 10;
const leavePauseMs = 200;

export class HostVolumes {
  readonly #options: VolumesOptions;
  readonly #hand = new Hand();
  readonly #turns = new Map<string, ReturnType<typeof oneAtATime>>();

  /** Throws TypeError. */
  constructor(options: VolumesOptions) {
    requireSafeHost(options.host);
    this.#options = options;
  }

  /** Makes the Volume's directory with its quota, or its disk. Repeatable. Throws VolumeError, TypeError. */
  async provision(volume: VolumeSpec, { allowUnsafe = false } = {}): Promise<void> {
    requireSafeVolume(volume);
    await this.#held(volume.uid, volume.gluster, async (mount, health) => {
      if (volume.type === 'Disk' && !(health.usable && health.safe) && !allowUnsafe)
        throw new VolumeError(
          'UnsafeReplication',
          `A disk on ${volume.gluster.name} can be lost or split: it needs three copies or an arbiter, and a quorum`,
        );
      await this.#hand.do('makeDirectory', mount, volume, this.#answerMs);
      if (volume.type === 'SharedFilesystem') await this.#limit(volume);
      await this.#hand.do('makeDisk', mount, volume, workMs);
    });
  }

  /** Removes the Volume's directory with all that is in it. Nothing if it is not there. The caller knows that nobody uses it. */
  async remove({ uid, gluster }: Pick<VolumeSpec, 'uid' | 'gluster'>): Promise<void> {
    requireUid(uid);
    await this.#held(uid, gluster, async (mount) => await this.#hand.do('removeVolume', mount, { uid }, workMs));
  }

  /**
   * The path of the Volume for the machine: a directory or a disk. To be called before each start of the machine; repeatable. Throws
   * VolumeError if the machine must not start now.
   */
  async attach({ machine, volume, writer }: Attachment): Promise<string> {
    requireUid(machine);
    requireSafeVolume(volume);
    const { gluster, uid, type } = volume;
    if ((type === 'Disk') !== (writer !== undefined))
      throw new TypeError(`A volume of type ${type} ${writer ? 'takes no' : 'needs a'} writer`);
    return await this.#inTurn(gluster.name, async () => {
      const known = this.#holder(gluster.name, machine)?.disks ?? [];
      const others = known.filter((disk) => disk.uid !== uid);
      this.#putHolder(machine, { gluster, disks: writer ? [...others, { uid, token: writer.token }] : known });
      const { mount } = await this.#ready(gluster);
      await this.#hand.do('requireVolume', mount, volume, this.#answerMs);
      if (writer) await this.#hand.do('claimWriter', mount, { uid, ...writer }, this.#answerMs);
      return join(mount.point, type === 'Disk' ? onVolume.disk(uid) : onVolume.data(uid));
    });
  }

  /**
   * Lets go of all that the machine has, which must be off for good. Repeatable. A disk that cannot be released now stays the machine's: who
   * comes next names it as gone.
   */
  async detach(machine: string): Promise<void> {
    for (const name of this.#names()) {
      await this.#inTurn(name, async () => {
        const holder = this.#holder(name, machine);
        if (!holder) return;
        if (holder.disks.length > 0) await this.#release(holder);
        await this.#letGo(name, machine, holder.gluster);
      });
    }
  }

  async #release({ gluster, disks }: Holder): Promise<void> {
    try {
      const { mount } = await this.#ready(gluster);
      for (const disk of disks) await this.#hand.do('releaseWriter', mount, disk, this.#answerMs);
    } catch (error) {
      const reason = messageOf(error);
      this.#options.log.warn('Cannot release disks: they stay locked until their machine is named as gone', {
        disks,
        reason,
      });
    }
  }

  /** uids that hold a mount here. */
  owners(): readonly string[] {
    return [...new Set(this.#names().flatMap((name) => this.#holders(name)))];
  }

  /** Looks at every mount, and mounts anew what is stale and used by nobody. Takes as long as a mount may take to answer. */
  async look(): Promise<readonly MountReport[]> {
    return await Promise.all(this.#names().map(async (name) => await this.#inTurn(name, () => this.#lookAt(name))));
  }

  async #lookAt(name: string): Promise<MountReport> {
    const holders = this.#holders(name);
    const gluster = holders.map((uid) => this.#holder(name, uid)?.gluster).find((found) => found !== undefined);
    if (!gluster) {
      await this.#clear(name);
      return { name, holders, reason: 'Unmounted', usable: false, message: 'Nobody uses it' };
    }
    const place = this.#place(gluster);
    const before = lookAtMount(place);
    if (!before.entry || before.clients.length === 0) {
      await this.#mount(place).catch((error) =>
        this.#options.log.warn('A Gluster volume is not mounted', { volume: name, reason: messageOf(error) }),
      );
    }
    return { name, holders, ...(await this.#health(place)) };
  }

  /** Does `work` on the mount while `holder` holds it. */
  async #held(
    holder: string,
    gluster: GlusterVolume,
    work: (mount: MountRef, health: MountHealth) => Promise<void>,
  ): Promise<void> {
    await this.#inTurn(gluster.name, async () => {
      this.#putHolder(holder, { gluster, disks: [] });
      try {
        const { mount, health } = await this.#ready(gluster);
        await work(mount, health);
      } finally {
        await this.#letGo(gluster.name, holder, gluster);
      }
    });
  }

  async #limit({ gluster, uid, bytes }: VolumeSpec): Promise<void> {
    const command = this.#options.gluster ?? ['gluster'];
    await limitUsage(command, gluster.name, `/${onVolume.directory(uid)}`, bytes);
  }

  /** A mount that is there, alive and writable. Throws VolumeError. */
  async #ready(gluster: GlusterVolume): Promise<{ readonly mount: MountRef; readonly health: MountHealth }> {
    const place = this.#place(gluster);
    const { entry, clients } = lookAtMount(place);
    if (!entry || clients.length === 0) await this.#mount(place);
    const health = await this.#health(place);
    if (!health.usable)
      throw new VolumeError(health.reason, `The Gluster volume ${gluster.name} cannot be used here: ${health.message}`);
    return { mount: this.#mountRef(place), health };
  }

  #mountRef(place: MountPlace): MountRef {
    const { id, point } = requireOurs(lookAtMount(place).entry, place);
    return { point, mountId: id };
  }

  /** Over a stale mount only when the kernel says that nobody has a file open in it: those would stay broken, and unseen. */
  async #mount(place: MountPlace): Promise<void> {
    if (!(await unmountVolume(place)))
      throw new VolumeError(
        'StaleInUse',
        `The mount of ${place.gluster.name} is dead and somebody still has files open in it: it is mounted anew when those machines are off`,
      );
    const kept = await mountVolume(place);
    const { log } = this.#options;
    log.info('Mounted a Gluster volume', { volume: place.gluster.name });
    if (kept.length > 0)
      log.warn('The client of a Gluster volume ends with the executor: it cannot leave its control groups', { kept });
  }

  async #health(place: MountPlace): Promise<MountHealth> {
    const seen = lookAtMount(place);
    if (!seen.entry || seen.clients.length === 0) return judge(seen, { error: 'not asked' });
    const { host } = this.#options;
    const probed: Probed = await this.#hand.do('probe', this.#mountRef(place), { host }, this.#answerMs).then(
      (probe) => ({ probe }),
      (error: VolumeError) =>
        error.reason === 'Hung'
          ? 'Hung'
          : { error: error.message, code: (error.cause as NodeJS.ErrnoException | undefined)?.code },
    );
    // The client may have died of the question.
    return judge(lookAtMount(place), probed);
  }

  async #letGo(name: string, holder: string, gluster: GlusterVolume): Promise<void> {
    const others = this.#holders(name).filter((uid) => uid !== holder);
    if (others.length === 0) await this.#leave(this.#place(gluster));
    rmSync(join(onHost.holders(this.#options.root, name), `${holder}.json`), { force: true });
    if (others.length === 0) await this.#clear(name);
  }

  /** One that does not answer is given up with whatever waits in it; one that is alive and in use, by a domain that we do not know, stays. */
  async #leave(place: MountPlace): Promise<void> {
    const { clock, log } = this.#options;
    if (await unmountVolume(place)) return;
    const { usable, reason } = await this.#health(place);
    for (let tries = 0; !usable && tries < leaveTries; tries++) {
      if (await unmountVolume(place, { force: true })) return;
      await clock.sleep(leavePauseMs); // what waited in it needs a moment to end
    }
    log.warn('A Gluster volume stays mounted: somebody has files open in it', { volume: place.gluster.name, reason });
  }

  /** After a kill between the last holder and the end of its mount, or while a stranger used it. Never removes what it did not make. */
  async #clear(name: string): Promise<void> {
    const { root } = this.#options;
    if (!(await unmountVolume(this.#place({ servers: [], name })))) return;
    try {
      for (const directory of [onHost.point, onHost.holders, onHost.volume]) rmdirIfThere(directory(root, name));
    } catch (error) {
      this.#options.log.warn('Cannot remove the directory of a Gluster volume', {
        volume: name,
        reason: messageOf(error),
      });
    }
  }

  #inTurn<T>(name: string, body: () => Promise<T>): Promise<T> {
    const turn = this.#turns.get(name) ?? oneAtATime();
    this.#turns.set(name, turn);
    return turn(body);
  }

  #place(gluster: GlusterVolume): MountPlace {
    const { root, netns } = this.#options;
    return { root, gluster, netns };
  }

  get #answerMs(): number {
    return this.#options.answerMs ?? answerMsDefault;
  }

  #names(): readonly string[] {
    return namesIn(onHost.volumes(this.#options.root)).filter(isVolumeName);
  }

  #holders(name: string): readonly string[] {
    return namesIn(onHost.holders(this.#options.root, name))
      .filter((file) => file.endsWith('.json'))
      .map((file) => file.slice(0, -'.json'.length));
  }

  #holder(name: string, uid: string): Holder | undefined {
    try {
      return JSON.parse(readFileSync(join(onHost.holders(this.#options.root, name), `${uid}.json`), 'utf8')) as Holder;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      throw error;
    }
  }

  #putHolder(uid: string, holder: Holder): void {
    const directory = onHost.holders(this.#options.root, holder.gluster.name);
    mkdirSync(directory, { recursive: true, mode: 0o755 });
    writeFileAtomic(join(directory, `${uid}.json`), JSON.stringify(holder));
  }
}

/** Not with what is in it: that may be a mount. */
function rmdirIfThere(directory: string): void {
  try {
    rmdirSync(directory);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
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
