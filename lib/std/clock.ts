/** Time as a dependency, so that a whole control plane can run under a virtual clock. */
export interface Clock {
  /** Wall clock, milliseconds since 1970. For timestamps that people and other programs read. */
  now(): number;
  /** Milliseconds that never go backwards. For deadlines and measuring. */
  monotonic(): number;
  /** Calls `callback` once after `delayMs`; dispose of the result to cancel. */
  timeout(callback: () => void, delayMs: number): Disposable;
  /** Resolves after `delayMs`; rejects with the signal's reason if that aborts first. */
  sleep(delayMs: number, signal?: AbortSignal): Promise<void>;
}

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  timeout(callback, delayMs) {
    const timer = setTimeout(callback, Math.min(delayMs, 2 ** 31 - 1));
    return { [Symbol.dispose]: () => clearTimeout(timer) };
  },
  sleep(delayMs, signal) {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason);
      const timer = setTimeout(
        () => {
          signal?.removeEventListener('abort', abort);
          resolve();
        },
        Math.min(delayMs, 2 ** 31 - 1),
      );
      const abort = () => {
        clearTimeout(timer);
        reject(signal?.reason);
      };
      signal?.addEventListener('abort', abort, { once: true });
    });
  },
};

/** RFC 3339 with whole seconds, as Kubernetes' metav1.Time. */
export function timestamp(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 19)}Z`;
}
