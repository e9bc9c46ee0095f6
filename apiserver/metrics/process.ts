/** Figures of the process, under the names that Prometheus' client libraries use. */
import { readdirSync } from 'node:fs';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { Counter, Gauge } from './series.ts';

export interface ProcessMetrics extends Disposable {
  text(): string;
}

export function createProcessMetrics(): ProcessMetrics {
  const delays = monitorEventLoopDelay({ resolution: 10 });
  delays.enable();
  const cpu = new Counter({ name: 'process_cpu_seconds_total', help: 'Processor time, user and system.' });
  let cpuSeen = 0;
  const memory = gauge('process_resident_memory_bytes', 'Memory in use.');
  const heap = gauge('nodejs_heap_size_used_bytes', 'Part of it that holds JavaScript values.');
  const started = gauge('process_start_time_seconds', 'When the process began, since 1970.');
  const files = gauge('process_open_fds', 'Files and sockets that are open.');
  const lag = new Gauge({
    name: 'nodejs_eventloop_lag_seconds',
    help: 'How late the event loop was since the figures were last asked for.',
    labels: ['quantile'],
  });
  started.set(performance.timeOrigin / 1000);
  return {
    text() {
      const { user, system } = process.cpuUsage();
      cpu.add([], (user + system) / 1e6 - cpuSeen);
      cpuSeen = (user + system) / 1e6;
      memory.set(process.memoryUsage.rss());
      heap.set(process.memoryUsage().heapUsed);
      files.set(openFiles());
      for (const quantile of [50, 99, 100]) lag.set(delays.percentile(quantile) / 1e9, [`${quantile / 100}`]);
      delays.reset();
      return [cpu, memory, heap, started, files, lag].map((family) => family.text()).join('');
    },
    [Symbol.dispose]: () => void delays.disable(),
  };
}

function gauge(name: string, help: string): Gauge {
  return new Gauge({ name, help });
}

function openFiles(): number {
  try {
    return readdirSync('/proc/self/fd').length;
  } catch {
    // Not a Linux: then nobody knows.
    return Number.NaN;
  }
}
