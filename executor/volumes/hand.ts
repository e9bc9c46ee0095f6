/** Has deeds done on a mount by a program of their own (hand/main.ts), one at a time, each with a deadline that holds whatever the mount does. */
import { join } from 'node:path';
import { type Abandonable, startAbandonable } from './abandon.ts';
import { VolumeError } from './errors.ts';
import type { Deeds, HandAnswer, HandRequest } from './hand/main.ts';
import type { MountRef } from './hand/mount.ts';

type Argument<Name extends keyof Deeds> = Parameters<Deeds[Name]>[1];
type Value<Name extends keyof Deeds> = Awaited<ReturnType<Deeds[Name]>>;

export class Hand {
  /** Whoever was given up and is still in the kernel, by mount point: one is enough to know that it does not answer. */
  readonly #stuck = new Map<string, Abandonable>();

  /** Throws the signal's reason, when whoever does it was killed, or VolumeError: Hung if it was not done in time, and until then it may still be done; with the cause's `code` if the kernel said one. */
  async do<Name extends keyof Deeds>(
    deed: Name,
    mount: MountRef,
    argument: Argument<Name>,
    deadlineMs: number,
    signal?: AbortSignal,
  ): Promise<Value<Name>> {
    const { point } = mount;
    const stuck = this.#stuck.get(point);
    if (stuck && !stuck.isOver()) throw new VolumeError('Hung', `${point} has not answered the last question yet`);
    const input = JSON.stringify({ deed, ...mount, argument } satisfies HandRequest);
    const program = join(import.meta.dirname, 'hand/main.ts');
    const child = startAbandonable(process.execPath, [program], { deadlineMs, input, signal });
    const ended = await child.ended;
    signal?.throwIfAborted();
    if (ended === undefined) {
      this.#stuck.set(point, child);
      throw new VolumeError('Hung', `${point} did not answer (${deed}) within ${deadlineMs} ms`);
    }
    this.#stuck.delete(point);
    if (ended.status !== 0 || ended.stdout === '')
      throw new VolumeError('VolumeFailed', `Cannot ${deed} on ${point}: ${ended.stderr.trim() || 'it was killed'}`);
    const answer = JSON.parse(ended.stdout) as HandAnswer;
    if ('value' in answer) return answer.value as Value<Name>;
    const cause = Object.assign(new Error(answer.error), answer.code === undefined ? {} : { code: answer.code });
    throw new VolumeError(answer.reason ?? 'VolumeFailed', answer.error, { cause });
  }
}
