/**
 * The Gluster volumes that are mounted on this host, and who uses them: one mount for each, from its first holder to its last. Holders are
 * written down before anything is mounted and removed after all is put back, so every step is safe to repeat after a kill anywhere
 * between two, and a mount that an earlier life of the executor made is taken over as it is. A machine gets a path only after the mount was
 * seen to be there, alive and writable, and the Volume's own marker in it: never a directory of the host.
 */
import { randomUUID } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, rmdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { MachineVolume, VolumeOnHost } from '#lib/api/launch.ts';
import type { MountReport } from '#lib/api/messages.ts';
import type { Clock } from '#lib/std/clock.ts';
import { messageOf } from '#lib/std/errors.ts';
import { writeFileAtomic } from '#lib/std/files.ts';
import type { Log } from '#lib/std/log.ts';
import type { DomainVolume, FillSource, FillWatch, FoundStrays, HostVolumes, MachineVolumes } from '../hypervisor.ts';
import { oneAtATime } from '../network/one-at-a-time.ts';
import { storeTimes } from '../store/health.ts';
import { usersOf } from '../store/processes.ts';
import { lookAtMount, type MountPlace, mountReadOnly, mountVolume, requireOurs, unmountVolume } from './client.ts';
import { VolumeError } from './errors.ts';
import type { FillFrom } from './hand/fill.ts';
import type { MountRef } from './hand/mount.ts';
import type { WriterToken } from './hand/writers.ts';
import { Hand } from './hand.ts';
import { type Heal, healOf } from './heal.ts';
import { judge, type MountHealth, type Probed } from './health.ts';
import {
  isVolumeName,
  onHost,
  onVolume,
  requireSafeHost,
  requireSafeName,
  requireSafeServers,
  requireSafeVolume,
  requireUid,
  type VolumeSpec,
} from './layout.ts';
import { limitUsage } from './quota.ts';

export interface GlusterVolumesOptions {
  /** State is kept in `<root>/volumes/`. */
  readonly root: string;
  /** Unlike all other hosts of the cluster's; a file name. */
  readonly host: string;
  readonly netns?: string | undefined;
  /** Names of the Gluster volumes that may be used: others are not ours. */
  readonly names: readonly string[];
  readonly servers: readonly string[];
  /** Gluster's command line, for quotas. */
  readonly command?: readonly string[] | undefined;
  /** How long a mount may take to answer before it counts as hung. */
  readonly answerMs?: number;
  /** How long it must have hung before it is mounted anew. */
  readonly hungMs?: number;
  readonly clock: Clock;
  readonly log: Log;
}

/** Whoever keeps a mount: a machine, or a Volume that is being made. */
interface Holder {
  /** uids of Volumes. */
  readonly volumes: readonly string[];
}

const answerMsDefault = 10_000;
/** Making a disk or removing a directory with many files. */
const workMs = 120_000;
/** Copying a disk. */
const fillMs = 6 * 3_600_000;
const fillLookMs = 5_000;
const leaveTries = 10;
const leavePauseMs = 200;
/** Gluster's command asks all bricks. */
const healEveryMs = 60_000;

/** Throws TypeError. */
export function glusterVolumes(options: GlusterVolumesOptions): HostVolumes {
  requireSafeHost(options.host);
  requireSafeServers(options.servers);
  options.names.forEach(requireSafeName);
  return new GlusterVolumes(options);
}

class GlusterVolumes implements HostVolumes {
  readonly #options: GlusterVolumesOptions;
  readonly #hand = new Hand();
  readonly #turns = new Map<string, ReturnType<typeof oneAtATime>>();
  /** Monotonic. */
  readonly #hungSince = new Map<string, number>();
  /** uids of Volumes. */
  readonly #filling = new Set<string>();
  readonly #heals = new Map<string, { readonly heal: Heal | undefined; readonly atMs: number }>();

  constructor(options: GlusterVolumesOptions) {
    this.#options = options;
  }

  get names(): readonly string[] {
    return this.#options.names;
  }

  async make(spec: VolumeOnHost, installation: string): Promise<number> {
    const volume = { ...spec, installation };
    requireSafeVolume(volume);
    return await this.#held(volume, async (mount, health) => await this.#make(volume, mount, health));
  }

  /** Its size. */
  async #make(volume: VolumeSpec, mount: MountRef, health: MountHealth): Promise<number> {
    requireSafety(volume, health);
    const there = await this.#sizeOf(volume, mount);
    if (there >= volume.bytes) return there;
    await this.#hand.do('makeDirectory', mount, volume, this.#answerMs);
    const bytes = await this.#hand.do('wantSize', mount, volume, this.#answerMs);
    if (volume.type === 'SharedFilesystem') await this.#limit({ ...volume, bytes });
    return await this.#hand.do('makeDisk', mount, volume, workMs);
  }

  /** All else goes on meanwhile: the turn is not kept while it copies, only the mounts are. */
  async fill(spec: VolumeOnHost, installation: string, source: FillSource, watch: FillWatch): Promise<number> {
    const volume = { ...spec, installation };
    requireSafeVolume(volume);
    const { uid, glusterVolume: name } = volume;
    const names = [...new Set([name, ...('uid' in source ? [source.glusterVolume] : [])])];
    this.#filling.add(uid);
    try {
      for (const each of names) await this.#inTurn(each, async () => this.#putHolder(each, uid, { volumes: [] }));
      const from = 'path' in source ? source : await this.#diskToCopy(source, volume);
      const mount = await this.#inTurn(name, async () => {
        const ready = await this.#ready(name);
        requireSafety(volume, ready.health);
        await this.#hand.do('makeDirectory', ready.mount, volume, this.#answerMs);
        return ready.mount;
      });
      await this.#fill(mount, volume, from, watch);
      return await this.#inTurn(name, async () => {
        const ready = await this.#ready(name);
        return await this.#make(volume, ready.mount, ready.health);
      });
    } finally {
      this.#filling.delete(uid);
      for (const each of names) await this.#inTurn(each, async () => await this.#letGo(each, uid));
    }
  }

  /** It is that Volume's, and nobody who was given it before can write to it from now on. */
  async #diskToCopy(source: Extract<FillSource, { uid: string }>, target: VolumeSpec): Promise<FillFrom> {
    const { uid, glusterVolume: name, grant } = source;
    requireUid(uid);
    requireSafeName(name);
    return await this.#inTurn(name, async () => {
      const { mount } = await this.#ready(name);
      const spec = { ...target, uid, glusterVolume: name };
      await this.#hand.do('requireVolume', mount, spec, this.#answerMs);
      const token = grant === undefined ? readersOf(uid) : { machine: target.uid, grant, attempt: 1 };
      await this.#hand.do('claimWriter', mount, { uid, token }, this.#answerMs);
      return { mount, uid };
    });
  }

  async #fill(mount: MountRef, { uid, bytes }: VolumeSpec, from: FillFrom, { told, signal }: FillWatch): Promise<void> {
    const { host, clock } = this.#options;
    const request = { uid, host, from };
    const copying = this.#hand.do('fillDisk', mount, { ...request, bytes, deadlineMs: fillMs }, fillMs, signal);
    const over = new AbortController();
    const looking = (async () => {
      for (;;) {
        await clock.sleep(fillLookMs, over.signal);
        const { done, all } = await this.#hand.do('filledOf', mount, request, this.#answerMs);
        if (all > 0) told(Math.min(99, Math.floor((100 * done) / all)));
      }
    })().catch(() => undefined); // how far it is nobody has to know
    try {
      await copying;
    } finally {
      over.abort();
      await looking;
    }
  }

  /** 0: it is not there. Whoever comes after the first need not ask Gluster for anything. */
  async #sizeOf(volume: VolumeSpec, mount: MountRef): Promise<number> {
    try {
      return (await this.#hand.do('requireVolume', mount, volume, this.#answerMs)).bytes;
    } catch (error) {
      // Anything else is met again by what makes it.
      if (error instanceof VolumeError && error.reason !== 'Hung') return 0;
      throw error;
    }
  }

  async remove(volume: VolumeOnHost): Promise<void> {
    requireSafeVolume({ ...volume, installation: '' });
    const { uid } = volume;
    await this.#held(volume, async (mount) => await this.#hand.do('removeVolume', mount, { uid }, workMs));
  }

  async strays(name: string, installation: string, known: readonly string[]): Promise<FoundStrays> {
    requireSafeName(name);
    const looker = { uid: randomUUID(), type: 'Disk', glusterVolume: name, bytes: 1 } as const;
    return await this.#held(looker, async (mount) =>
      this.#hand.do('findStrays', mount, { installation, known }, workMs),
    );
  }

  async discard(volume: VolumeOnHost, installation: string): Promise<void> {
    requireSafeVolume({ ...volume, installation });
    const { uid } = volume;
    await this.#held(
      volume,
      async (mount) => await this.#hand.do('discardVolume', mount, { uid, installation }, workMs),
    );
  }

  async attach({ uid, installation, attempt, volumes }: MachineVolumes): Promise<readonly DomainVolume[]> {
    requireUid(uid);
    const attached: DomainVolume[] = [];
    for (const volume of volumes) {
      requireSafeVolume({ ...volume, installation });
      const path = await this.#attach(uid, attempt, { ...volume, installation });
      const { name, type, readOnly } = volume;
      attached.push({ name, type, path, ...(type === 'Disk' && readOnly ? { readOnly } : {}) });
    }
    return attached;
  }

  async #attach(machine: string, attempt: number, volume: MachineVolume & VolumeSpec): Promise<string> {
    const { glusterVolume: name, uid, type, grant, readOnly } = volume;
    return await this.#inTurn(name, async () => {
      const known = this.#holder(name, machine)?.volumes ?? [];
      this.#putHolder(name, machine, { volumes: [...known.filter((other) => other !== uid), uid] });
      const { mount, health } = await this.#ready(name);
      if (volume.make) await this.#make(volume, mount, health);
      const { bytes, wanted } = await this.#hand.do('requireVolume', mount, volume, this.#answerMs);
      if (type === 'SharedFilesystem') {
        const point = readOnly ? await mountReadOnly(this.#place(name)) : mount.point;
        return join(point, onVolume.data(uid));
      }
      if (grant === undefined && !readOnly)
        throw new TypeError(`The disk ${uid} was given to nobody: the launch has no grant`);
      const token = grant === undefined ? readersOf(uid) : { machine, grant, attempt };
      await this.#hand.do('claimWriter', mount, { uid, token }, this.#answerMs);
      if (grant !== undefined && bytes < wanted) await this.#grow(uid, mount);
      return join(mount.point, onVolume.disk(uid));
    });
  }

  /** That it does not grow keeps no machine off: the Volume says that it has not, and it is tried at the next start. */
  async #grow(uid: string, mount: MountRef): Promise<void> {
    const { log } = this.#options;
    await this.#hand.do('growDisk', mount, { uid }, workMs).catch((error) => {
      if (error instanceof VolumeError && error.reason === 'Hung') throw error;
      log.warn('The disk of a Volume is not as large as is wanted', { uid, reason: messageOf(error) });
    });
  }

  async detach(machine: string): Promise<void> {
    for (const name of this.#mounted())
      await this.#inTurn(name, async () => {
        if (this.#holder(name, machine)) await this.#letGo(name, machine);
      });
  }

  /** What is being filled is looked after by who does that. */
  async owners(): Promise<readonly string[]> {
    const owners = new Set(this.#mounted().flatMap((name) => this.#holders(name)));
    return [...owners].filter((uid) => !this.#filling.has(uid));
  }

  async look(): Promise<readonly MountReport[]> {
    const reports = this.#mounted().map(async (name) => await this.#inTurn(name, () => this.#lookAt(name)));
    return (await Promise.all(reports)).flat();
  }

  /** A mount that nobody holds goes. */
  async #lookAt(name: string): Promise<readonly MountReport[]> {
    if (this.#holders(name).length === 0) {
      await this.#clear(name);
      return [];
    }
    const place = this.#place(name);
    const before = lookAtMount(place);
    if (!before.entry || before.clients.length === 0) {
      await this.#mount(place).catch((error) =>
        this.#options.log.warn('A Gluster volume is not mounted', { volume: name, reason: messageOf(error) }),
      );
    }
    const health = await this.#mended(place, await this.#health(place));
    return [{ name, ...health, ...(health.usable ? await this.#heal(name) : {}) }];
  }

  /** One that hung for long is given up and mounted anew, unless guests run that have it open: they may still work with what they have. */
  async #mended(place: MountPlace, health: MountHealth): Promise<MountHealth> {
    const { name } = place.gluster;
    const { clock, log, hungMs = storeTimes.hungMs } = this.#options;
    if (health.reason !== 'Hung') {
      this.#hungSince.delete(name);
      return health;
    }
    const sinceMs = this.#hungSince.get(name) ?? clock.monotonic();
    this.#hungSince.set(name, sinceMs);
    const { entry } = lookAtMount(place);
    const users = entry ? usersOf(entry.device) : [];
    if (users.length > 0)
      return { ...health, message: `${health.message}. It is mounted anew as soon as its machines here are off` };
    if (clock.monotonic() - sinceMs < hungMs) return health;
    log.warn('A Gluster volume hangs and nobody who runs uses it: it is mounted anew', { volume: name });
    await this.#leave(place);
    if (lookAtMount(place).entry) return health;
    await this.#mount(place).catch((error) =>
      log.warn('A Gluster volume is not mounted', { volume: name, reason: messageOf(error) }),
    );
    return await this.#health(place);
  }

  /** What waits to be healed, asked for now and then. Hosts that do not belong to Gluster's pool cannot ask. */
  async #heal(name: string): Promise<Heal> {
    const nowMs = this.#options.clock.monotonic();
    const known = this.#heals.get(name);
    if (known && nowMs - known.atMs < healEveryMs) return known.heal ?? {};
    const heal = await healOf(this.#command, name);
    this.#heals.set(name, { heal, atMs: nowMs });
    return heal ?? {};
  }

  /** Does `work` on the mount while the Volume itself holds it. */
  async #held<T>(
    { uid, glusterVolume: name }: VolumeOnHost,
    work: (mount: MountRef, health: MountHealth) => Promise<T>,
  ): Promise<T> {
    return await this.#inTurn(name, async () => {
      this.#putHolder(name, uid, { volumes: [] });
      try {
        const { mount, health } = await this.#ready(name);
        return await work(mount, health);
      } finally {
        await this.#letGo(name, uid);
      }
    });
  }

  async #limit({ glusterVolume, uid, bytes }: VolumeSpec): Promise<void> {
    await limitUsage(this.#command, glusterVolume, `/${onVolume.directory(uid)}`, bytes, this.#options.clock);
  }

  /** A mount that is there, alive and writable. Throws VolumeError. */
  async #ready(name: string): Promise<{ readonly mount: MountRef; readonly health: MountHealth }> {
    const place = this.#place(name);
    const { entry, clients } = lookAtMount(place);
    if (!entry || clients.length === 0) await this.#mount(place);
    const health = await this.#health(place);
    if (!health.usable)
      throw new VolumeError(health.reason, `The Gluster volume ${name} cannot be used here: ${health.message}`);
    return { mount: this.#mountRef(place), health };
  }

  #mountRef(place: MountPlace): MountRef {
    const { id, point, source } = requireOurs(lookAtMount(place).entry, place);
    return { point, mountId: id, source };
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
    const { name } = place.gluster;
    const uids = [...new Set(this.#holders(name).flatMap((holder) => this.#holder(name, holder)?.volumes ?? []))];
    const question = { host: this.#options.host, uids };
    const probed: Probed = await this.#hand.do('probe', this.#mountRef(place), question, this.#answerMs).then(
      (probe) => ({ probe }),
      (error: VolumeError) =>
        error.reason === 'Hung'
          ? 'Hung'
          : { error: error.message, code: (error.cause as NodeJS.ErrnoException | undefined)?.code },
    );
    // The client may have died of the question.
    return judge(lookAtMount(place), probed);
  }

  async #letGo(name: string, holder: string): Promise<void> {
    const others = this.#holders(name).filter((uid) => uid !== holder);
    if (others.length === 0) await this.#leave(this.#place(name));
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
    if (!(await unmountVolume(this.#place(name)))) return;
    this.#heals.delete(name);
    try {
      for (const directory of [onHost.point, onHost.readOnly, onHost.readOnlyDraft, onHost.holders, onHost.volume])
        rmdirIfThere(directory(root, name));
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

  #place(name: string): MountPlace {
    const { root, netns, servers } = this.#options;
    return { root, netns, gluster: { name, servers } };
  }

  get #command(): readonly string[] {
    return this.#options.command ?? ['gluster'];
  }

  get #answerMs(): number {
    return this.#options.answerMs ?? answerMsDefault;
  }

  /** Also what an earlier configuration allowed. */
  #mounted(): readonly string[] {
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

  /** Throws VolumeError if the host's configuration does not name the Gluster volume. */
  #putHolder(name: string, uid: string, holder: Holder): void {
    const { root, names } = this.#options;
    if (!names.includes(name))
      throw new VolumeError(
        'NotAllowed',
        `The configuration of this host allows no use of the Gluster volume ${name}: add it to gluster.volumes there, or name another`,
      );
    const directory = onHost.holders(root, name);
    mkdirSync(directory, { recursive: true, mode: 0o755 });
    writeFileAtomic(join(directory, `${uid}.json`), JSON.stringify(holder));
  }
}

/** Throws VolumeError. */
function requireSafety({ type, glusterVolume, allowUnsafe }: VolumeSpec, health: MountHealth): void {
  if (type === 'Disk' && !(health.usable && health.safe) && !allowUnsafe)
    throw new VolumeError(
      'UnsafeReplication',
      `A disk on ${glusterVolume} can be lost or split: it needs three copies or an arbiter, and a quorum`,
    );
}

/** Later than any that a machine is ever given: once machines read a disk nobody writes to it. The same for all of them. */
function readersOf(uid: string): WriterToken {
  return { machine: uid, grant: Number.MAX_SAFE_INTEGER, attempt: 0 };
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
