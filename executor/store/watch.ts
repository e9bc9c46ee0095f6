/** Looks at the mount that holds the images for as long as the executor runs, tells what it sees, and has it repaired (health.ts says when). */
import { readFileSync, rmSync } from 'node:fs';
import type { StorageReport } from '#lib/api/messages.ts';
import type { Clock } from '#lib/std/clock.ts';
import { messageOf } from '#lib/std/errors.ts';
import { writeFileAtomic } from '#lib/std/files.ts';
import type { Log } from '#lib/std/log.ts';
import type { MountEntry } from '../volumes/mountinfo.ts';
import { healthyStore, judgeStore, type StoreState, type StoreTimes, storeTimes } from './health.ts';
import { Looker } from './look.ts';
import { hasClient, usersOf } from './processes.ts';
import { bringBack, type RepairOptions, takeDown } from './repair.ts';
import { mountNamespace, mountOf, ownView, type View } from './view.ts';

export interface StoreWatchOptions {
  /** Of the images. */
  readonly directory: string;
  readonly view?: View | undefined;
  /** Remembers what was taken down and is not back, also over a restart of the executor: nothing may use the empty directory meanwhile. */
  readonly memory: string;
  /** uids of guests whose QEMU was killed and does not end. */
  stuck(): readonly string[];
  readonly times?: Partial<StoreTimes> & { readonly answerMs?: number; readonly keeperMs?: number };
  readonly clock: Clock;
  readonly log: Log;
}

const answerMsDefault = 10_000;
const leaveMs = 1_000;
const keeperMsDefault = 15_000;
/** Nothing to look at in a directory of the host's own disk. */
const local: StorageReport = { usable: true, reason: 'Local', message: '' };

export class StoreWatch implements AsyncDisposable {
  readonly #options: StoreWatchOptions;
  readonly #looker: Looker;
  readonly #view: View;
  readonly #stop = new AbortController();
  readonly #looking: Promise<void>;
  #state: StoreState = healthyStore;
  #report = local;
  #changed: () => void = () => undefined;

  constructor(options: StoreWatchOptions) {
    const { directory, view = ownView, times } = options;
    this.#options = options;
    this.#view = view;
    this.#looker = new Looker({ directory, view, answerMs: times?.answerMs ?? answerMsDefault });
    this.#looking = this.#run();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    // A look that waits for its deadline, or a repair, changes nothing that the next executor would not find as well.
    await Promise.race([this.#looking, this.#options.clock.sleep(leaveMs)]);
  }

  get report(): StorageReport {
    return this.#report;
  }

  /** True where the images are on a file system that may hang. */
  get isRemote(): boolean {
    return isWatched(mountOf(this.#options.directory, this.#view));
  }

  /** Called back whenever the report differs from the last one. */
  onChange(changed: () => void): void {
    this.#changed = changed;
  }

  async #run(): Promise<void> {
    const { clock, log } = this.#options;
    while (!this.#stop.signal.aborted) {
      const nextMs = await this.#look().catch((error) => {
        log.warn('Cannot look at the mount of the images', { reason: messageOf(error) });
        return storeTimes.everyMs;
      });
      await clock.sleep(nextMs, this.#stop.signal).catch(() => undefined);
    }
  }

  /** Until the next look. */
  async #look(): Promise<number> {
    const { directory, clock, stuck, times } = this.#options;
    const entry = mountOf(directory, this.#view);
    if (!isWatched(entry)) {
      this.#state = healthyStore;
      const missing = this.#missing();
      if (missing) await this.#bringBack(missing);
      else this.#tell(local);
      return times?.everyMs ?? storeTimes.everyMs;
    }
    rmSync(this.#options.memory, { force: true });
    const look = await this.#looker.look();
    const [unanswered, stuckNow] = [look.outcome !== 'Answers', stuck()];
    const seen = {
      look,
      hasClient: !unanswered || hasClient(entry, mountNamespace(this.#view)),
      users: unanswered || stuckNow.length > 0 ? usersOf(entry.device) : [],
      stuck: stuckNow,
    };
    const verdict = judgeStore(this.#state, seen, clock.monotonic(), { ...storeTimes, ...times });
    this.#state = verdict.state;
    this.#tell(verdict.report);
    if (verdict.repair) await this.#repair(entry);
    return verdict.nextLookMs;
  }

  async #repair(entry: MountEntry): Promise<void> {
    writeFileAtomic(this.#options.memory, JSON.stringify(entry));
    await takeDown(entry, this.#repairOptions);
    await this.#bringBack(entry);
  }

  async #bringBack(entry: MountEntry): Promise<void> {
    try {
      await bringBack(entry, this.#repairOptions);
    } catch (error) {
      const reason = messageOf(error);
      this.#options.log.error('Cannot mount the images anew', { reason });
      this.#tell({ usable: false, reason: 'MountFailed', message: `The images cannot be mounted anew: ${reason}` });
    }
  }

  get #repairOptions(): RepairOptions {
    const { clock, log, times } = this.#options;
    return { view: this.#view, keeperMs: times?.keeperMs ?? keeperMsDefault, clock, log };
  }

  #missing(): MountEntry | undefined {
    try {
      return JSON.parse(readFileSync(this.#options.memory, 'utf8')) as MountEntry;
    } catch {
      return undefined;
    }
  }

  #tell(report: StorageReport): void {
    if (JSON.stringify(report) === JSON.stringify(this.#report)) return;
    const { log } = this.#options;
    if (report.usable !== this.#report.usable) {
      const { reason, message: why } = report;
      if (report.usable) log.info('The store of images can be used again');
      else log.warn('The store of images cannot be used', { reason, why });
    }
    this.#report = report;
    this.#changed();
  }
}

function isWatched(entry: MountEntry | undefined): entry is MountEntry {
  return entry?.type.startsWith('fuse.') ?? false;
}
