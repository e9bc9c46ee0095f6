/**
 * One look at the mount that holds the images, by short programs with a deadline: the executor's own threads would never come back from one
 * that hangs. It does what QEMU does with an image: opens, reads and locks it. Nothing is written: what several clients make at the same moment
 * while bricks come and go may be another thing on each brick, and of no use for good.
 */
import { join } from 'node:path';
import { type Abandonable, type Ended, startAbandonable } from '../volumes/abandon.ts';
import type { Look } from './health.ts';
import { inView, type View } from './view.ts';

export interface LookOptions {
  readonly directory: string;
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
    const { directory } = this.#options;
    const listed = await this.#ask('ls', '--almost-all', '-U', directory);
    if (listed?.status !== 0) return outcomeOf(listed);
    const image = listed.stdout.split('\n').find((name) => /^[0-9a-f]{64}$/.test(name));
    if (image === undefined) return { outcome: 'Answers' };
    // As raw: what is in it is a stranger's, and of no interest here.
    return outcomeOf(await this.#ask('qemu-img', 'info', '-f', 'raw', join(directory, image)));
  }

  /** undefined: no end in time. */
  async #ask(...command: readonly string[]): Promise<Ended | undefined> {
    const { view, answerMs } = this.#options;
    const [program, ...args] = inView(view, command);
    const asked = startAbandonable(program!, args, { deadlineMs: answerMs });
    const ended = await asked.ended;
    if (ended === undefined) this.#stuck = asked;
    return ended;
  }
}

/** A lock that is refused is an answer, as is a file that went away. */
function outcomeOf(ended: Ended | undefined): Look {
  if (ended === undefined) return { outcome: 'Silent' };
  const { status, stderr } = ended;
  if (status === 0 || /Failed to get .* lock|No such file/.test(stderr)) return { outcome: 'Answers' };
  return { outcome: 'Refuses', message: stderr.trim().slice(0, 500) || 'the program that looked was killed' };
}
