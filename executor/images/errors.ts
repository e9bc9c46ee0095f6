import type { Termination } from '#lib/api/launch.ts';

/** Why an import did not work. `terminal`: the same source cannot give anything else next time. */
export class ImportError extends Error {
  readonly class: Termination['class'];
  readonly reason: string;
  readonly terminal: boolean;

  private constructor(
    kind: { class: Termination['class']; terminal: boolean },
    reason: string,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
    this.name = 'ImportError';
    this.class = kind.class;
    this.terminal = kind.terminal;
    this.reason = reason;
  }

  /** The source or its contents are wrong. */
  static refused(reason: string, message: string, options?: ErrorOptions): ImportError {
    return new ImportError({ class: 'Configuration', terminal: true }, reason, message, options);
  }

  /** The network or the host failed. */
  static retry(reason: string, message: string, options?: ErrorOptions): ImportError {
    return new ImportError({ class: 'Infrastructure', terminal: false }, reason, message, options);
  }

  /** `stderr`: of a program that failed. A full disk is no fault of the image, and the programs say so in words only. */
  static throwIfFull(stderr: string): void {
    const words = /No space left on device|Disk quota exceeded/.exec(stderr)?.[0];
    if (words) throw ImportError.retry('StoreFull', `The image store is full (${words}); make room in it`);
  }

  /** What an import ended with, whatever it threw. */
  static from(error: unknown): ImportError {
    if (error instanceof ImportError) return error;
    const full = error instanceof Error && 'code' in error && (error.code === 'ENOSPC' || error.code === 'EDQUOT');
    const reason = full ? 'StoreFull' : 'ImportFailed';
    return ImportError.retry(reason, error instanceof Error ? error.message : String(error), { cause: error });
  }
}
