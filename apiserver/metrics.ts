/** Figures in Prometheus' text format, under the names Kubernetes uses so that existing dashboards fit. */
export interface RequestLabels {
  readonly verb: string;
  readonly resource: string;
  readonly code: number;
}

export interface Metrics {
  request(labels: RequestLabels, seconds: number): void;
  watchStarted(resource: string): Disposable;
  watchEvents(resource: string, count: number): void;
  text(): string;
}

const buckets = [0.005, 0.025, 0.1, 0.5, 1, 5, 30];

interface Durations {
  readonly counts: number[];
  sum: number;
}

/** Labels come from the registry and from fixed words only, so that the number of series is bounded. */
export function createMetrics(): Metrics {
  const requests = new Map<string, number>();
  const durations = new Map<string, Durations>();
  const watches = new Map<string, number>();
  const events = new Map<string, number>();
  const add = (map: Map<string, number>, key: string, amount: number) => map.set(key, (map.get(key) ?? 0) + amount);
  return {
    request({ verb, resource, code }, seconds) {
      add(requests, `verb="${verb}",resource="${resource}",code="${code}"`, 1);
      const key = `verb="${verb}",resource="${resource}"`;
      const known = durations.get(key) ?? { counts: [...buckets, 0].map(() => 0), sum: 0 };
      durations.set(key, known);
      known.sum += seconds;
      const index = buckets.findIndex((bound) => seconds <= bound);
      known.counts[index < 0 ? buckets.length : index]!++;
    },
    watchStarted(resource) {
      const key = `resource="${resource}",verb="WATCH"`;
      add(watches, key, 1);
      return { [Symbol.dispose]: () => void add(watches, key, -1) };
    },
    watchEvents: (resource, count) => void add(events, `resource="${resource}"`, count),
    text: () =>
      [
        ...series('apiserver_request_total', 'counter', requests),
        ...histogram('apiserver_request_duration_seconds', durations),
        ...series('apiserver_longrunning_requests', 'gauge', watches),
        ...series('apiserver_watch_events_total', 'counter', events),
        ...series('process_resident_memory_bytes', 'gauge', new Map([['', process.memoryUsage.rss()]])),
        '',
      ].join('\n'),
  };
}

function series(name: string, type: string, values: ReadonlyMap<string, number>): string[] {
  return [
    `# TYPE ${name} ${type}`,
    ...[...values].map(([labels, value]) => `${name}${labels && `{${labels}}`} ${value}`),
  ];
}

function histogram(name: string, values: ReadonlyMap<string, Durations>): string[] {
  const lines = [`# TYPE ${name} histogram`];
  for (const [labels, { counts, sum }] of values) {
    let total = 0;
    counts.forEach((count, index) => {
      total += count;
      lines.push(`${name}_bucket{${labels},le="${buckets[index] ?? '+Inf'}"} ${total}`);
    });
    lines.push(`${name}_sum{${labels}} ${sum}`, `${name}_count{${labels}} ${total}`);
  }
  return lines;
}
