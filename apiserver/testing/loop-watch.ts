/**
 * How long the event loop was kept from its work. A busy machine also makes the loop late; what counts here is time in which this thread
 * computed, so that the figure is the same whoever else runs.
 */
export interface LoopWatch extends Disposable {
  /** The longest so far, in milliseconds of processor time; begins anew. */
  takeLongestMs(): number;
}

const everyMs = 2;

export function watchLoop(): LoopWatch {
  let [longest, wall, cpu] = [0, performance.now(), cpuMs()];
  const look = () => {
    const [wallNow, cpuNow] = [performance.now(), cpuMs()];
    longest = Math.max(longest, Math.min(wallNow - wall - everyMs, cpuNow - cpu));
    [wall, cpu] = [wallNow, cpuNow];
  };
  const timer = setInterval(look, everyMs);
  return {
    takeLongestMs() {
      look();
      const taken = longest;
      longest = 0;
      return taken;
    },
    [Symbol.dispose]: () => clearInterval(timer),
  };
}

function cpuMs(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1000;
}
