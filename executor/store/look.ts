/**
 * One look at the mount that holds the images, by short programs with a deadline: the executor's own threads would never come back from one
 * that hangs. As a guest does, they write, read, and lock a file; a client that hangs may do one and not the other.
 */
import { join } from 'node:path';
import { type Abandonable, startAbandonable } from '../volumes/abandon.ts';
import type { Look } from './health.ts';
import { inView, type View } from './view.ts';

export interface LookOptions {
  readonly directory: string;
  /** Of the file that is written; nobody else may write it. */
  readonly name: string;
  readonly view: View;
  /** Of each program. */
  readonly answerMs: number;
}

export class Looker {
  readonly #options: LookOptions;
  /** Given up and still in the kernel: one is enough to know that the mount does not answer. */
  #stuck: Abandonable | undefined;

  constructor(options: LookOptions) {
    this.#options = options;
  }

  async look(): Promise<Look> {
    if (this.#stuck && !this.#stuck.isOver()) return { outcome: 'Silent' };
    this.#stuck = undefined;
    const { directory, name } = this.#options;
    // Where imports are: who is forgotten there is removed (images/staging.ts).
    const incoming = join(directory, 'incoming');
    const file = join(incoming, `look-${name}`);
    const steps = [
      ['mkdir', '-p', '-m', '700', incoming],
      ['dd', 'if=/dev/zero', `of=${file}`, 'bs=512', 'count=1', 'conv=fsync', 'status=none'],
      // Locks what it reads, as QEMU does.
      ['qemu-img', 'info', '-f', 'raw', file],
    ];
    for (const step of steps) {
      const seen = await this.#ask(step);
      if (seen.outcome !== 'Answers') return seen;
    }
    return { outcome: 'Answers' };
  }

  async #ask(command: readonly string[]): Promise<Look> {
    const { view, answerMs } = this.#options;
    const [program, ...args] = inView(view, command);
    const asked = startAbandonable(program!, args, { deadlineMs: answerMs });
    const ended = await asked.ended;
    if (ended === undefined) {
      this.#stuck = asked;
      return { outcome: 'Silent' };
    }
    // A full store still serves what is in it.
    if (ended.status === 0 || /No space left|quota exceeded/i.test(ended.stderr)) return { outcome: 'Answers' };
    return { outcome: 'Refuses', message: ended.stderr.trim().slice(0, 500) || `${command[0]} was killed` };
  }
}
