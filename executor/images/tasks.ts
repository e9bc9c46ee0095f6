/** Import tasks: one per image and try, begun anew by the next worker if this one is killed. */
import type { ImageImport, ImportStep, Termination } from '#lib/api/launch.ts';
import { parseTaskId } from '#lib/api/names.ts';
import type { Clock } from '#lib/std/clock.ts';
import { messageOf } from '#lib/std/errors.ts';
import type { Log } from '#lib/std/log.ts';
import type { Random } from '#lib/std/random.ts';
import type { TaskInfo } from '#mesos/types.ts';
import type { Journal } from '../journal/journal.ts';
import { parseLaunch } from '../messages.ts';
import type { Reporter } from '../reporter.ts';
import { ImportError } from './errors.ts';
import { type ImportOptions, importImage } from './import.ts';

/** Progress is a status update, which Mesos keeps on disk until it is acknowledged: seldom. */
const progressEveryMs = 3000;
/** A phase that is over sooner is not worth a word. */
const phaseAfterMs = 3000;

export interface ImageTasksDeps {
  readonly journal: Journal;
  readonly reporter: Reporter;
  readonly config: Pick<ImportOptions, 'hypervisor' | 'imageStore' | 'importDir' | 'allowPrivateSources'>;
  /** What tells this cluster from others that have the store too. */
  readonly cluster: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** An image has come into the store. */
  imported(): void;
  /** Instead of really fetching and converting. */
  readonly importImage?: typeof importImage;
  fatal(error: unknown): void;
}

interface Running {
  readonly abort: AbortController;
  readonly finished: Promise<void>;
}

const killed = Symbol('killed');
const leaving = Symbol('leaving');
const late = Symbol('late');

export class ImageTasks implements AsyncDisposable {
  readonly #deps: ImageTasksDeps;
  readonly #running = new Map<string, Running>();

  /** Begins the imports in the journal again. */
  constructor(deps: ImageTasksDeps) {
    this.#deps = deps;
    for (const { info, state, ended } of deps.journal.tasks()) {
      if (state !== undefined || ended) continue;
      const launch = parseLaunch(info);
      if (launch.type === 'image') this.#begin(launch);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { abort } of this.#running.values()) abort.abort(leaving);
    await Promise.all([...this.#running.values()].map(async ({ finished }) => await finished));
  }

  /** Of all imports until their ends were acknowledged. */
  taskIds(): readonly string[] {
    const ids = this.#deps.journal.tasks().map(({ info }) => info.task_id.value);
    return ids.filter((id) => parseTaskId(id)?.type === 'image');
  }

  launch(info: TaskInfo, launch: ImageImport): void {
    this.#deps.reporter.accept(info, { state: 'TASK_STARTING', message: 'Fetching' });
    this.#begin(launch);
  }

  /** False if there is no such import. */
  kill(taskId: string): boolean {
    const running = this.#running.get(taskId);
    running?.abort.abort(killed);
    return running !== undefined;
  }

  #begin(launch: ImageImport): void {
    const abort = new AbortController();
    const finished = this.#run(launch, abort)
      .catch((error) => this.#deps.fatal(error))
      .finally(() => this.#running.delete(launch.taskId));
    this.#running.set(launch.taskId, { abort, finished });
  }

  async #run(launch: ImageImport, abort: AbortController): Promise<void> {
    const { reporter, config, cluster, clock, random, log, imported, importImage: fetch = importImage } = this.#deps;
    const { taskId } = launch;
    using _ = clock.timeout(() => abort.abort(late), launch.timeoutMs);
    reporter.step(taskId, { words: [{ state: 'TASK_RUNNING', message: 'Fetching' }] });
    try {
      const onProgress = this.#progress(taskId);
      using phases = this.#phases(taskId);
      const { onPhase } = phases;
      const { signal } = abort;
      const data = await fetch(launch, { ...config, cluster, clock, random, signal, onProgress, onPhase });
      imported();
      reporter.step(taskId, { words: [{ state: 'TASK_FINISHED', message: `Stored as ${data.digest}`, data }] });
    } catch (error) {
      if (abort.signal.reason === leaving) return;
      const termination = terminationOf(launch, abort.signal.reason, error);
      log.warn('An import failed', { taskId, termination, cause: messageOf(error) });
      const state = abort.signal.reason === killed ? 'TASK_KILLED' : 'TASK_FAILED';
      reporter.step(taskId, { words: [{ state, message: termination.message, data: termination }] });
    }
  }

  #phases(taskId: string): Disposable & { readonly onPhase: NonNullable<ImportOptions['onPhase']> } {
    const { clock, reporter, fatal } = this.#deps;
    let timer: Disposable | undefined;
    const forget = () => timer?.[Symbol.dispose]();
    return {
      onPhase: (phase) => {
        forget();
        const data: ImportStep = { phase };
        timer = clock.timeout(() => {
          try {
            reporter.step(taskId, { words: [{ state: 'TASK_RUNNING', message: wordsOf[phase], data }] });
          } catch (error) {
            fatal(error);
          }
        }, phaseAfterMs);
      },
      [Symbol.dispose]: forget,
    };
  }

  #progress(taskId: string): (received: number, total: number | undefined) => void {
    const { clock, reporter } = this.#deps;
    let last = clock.monotonic();
    return (received, total) => {
      if (clock.monotonic() - last < progressEveryMs) return;
      last = clock.monotonic();
      const percent = total ? Math.floor((100 * received) / total) : undefined;
      const step: ImportStep = { phase: 'Downloading', ...(percent === undefined ? {} : { percent }) };
      const data = { ...step, received, ...(total === undefined ? {} : { total }) };
      const message = percent === undefined ? `Fetching: ${received} bytes` : `Fetching: ${percent}%`;
      reporter.step(taskId, { words: [{ state: 'TASK_RUNNING', message, data }] });
    };
  }
}

const wordsOf = { Downloading: 'Fetching', Verifying: 'Verifying', Converting: 'Converting' } as const;

/** An import has no domain, so its absence needs no look. */
function terminationOf(launch: ImageImport, aborted: unknown, error: unknown): Termination {
  const domainAbsent = true;
  if (aborted === killed)
    return { class: 'User', reason: 'Killed', message: 'Killed as ordered', terminal: false, domainAbsent };
  if (aborted === late) {
    const message = `The import took longer than ${Math.round(launch.timeoutMs / 1000)} s (spec.limits.timeout)`;
    return { class: 'Infrastructure', reason: 'Timeout', message, terminal: false, domainAbsent };
  }
  const { class: kind, reason, message, terminal } = ImportError.from(error);
  return { class: kind, reason, message, terminal, domainAbsent };
}
