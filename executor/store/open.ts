/** Puts together what watches the images of a real host. A pretended host has a mount of its own beside the executor's: both count. */
import { join } from 'node:path';
import type { StorageReport } from '#lib/api/messages.ts';
import type { Clock } from '#lib/std/clock.ts';
import type { Log } from '#lib/std/log.ts';
import { type ImageStore, imageStore } from '../images/store.ts';
import { guardedStore } from './guarded.ts';
import { ownView, viewOf } from './view.ts';
import { StoreWatch, type StoreWatchOptions } from './watch.ts';

export interface HostStorage extends AsyncDisposable {
  report(): StorageReport;
  onChange(changed: () => void): void;
}

export interface StorageOptions extends Pick<StoreWatchOptions, 'stuck' | 'times'> {
  readonly directory: string;
  readonly root: string;
  /** Of a pretended host (config.ts). */
  readonly hostDir?: string | undefined;
  readonly clock: Clock;
  readonly log: Log;
}

export function openStorage(options: StorageOptions): { readonly store: ImageStore; readonly storage: HostStorage } {
  const { directory, root, hostDir, ...rest } = options;
  const watch = (name: string, view: StoreWatchOptions['view'], stuck: () => readonly string[]) =>
    new StoreWatch({
      ...rest,
      directory,
      view,
      stuck,
      memory: join(root, `mount-${name}.json`),
    });
  // Guests are where the host is.
  const watches =
    hostDir === undefined
      ? [watch('host', ownView, options.stuck)]
      : [watch('host', viewOf(join(hostDir, 'pid')), options.stuck), watch('executor', ownView, () => [])];
  return {
    store: guardedStore(directory, imageStore(directory, rest.clock), watches),
    storage: {
      report: () => watches.map(({ report }) => report).find(({ usable }) => !usable) ?? watches[0]!.report,
      onChange: (changed) => {
        for (const each of watches) each.onChange(changed);
      },
      async [Symbol.asyncDispose]() {
        await Promise.all(watches.map(async (each) => await each[Symbol.asyncDispose]()));
      },
    },
  };
}
