/** /livez, /readyz and /metrics over plain HTTP, for a program that otherwise serves nobody. */
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { ControllerStats } from './run-controller.ts';

export interface HealthChecks {
  ready(): boolean;
  stats(): Readonly<Record<string, ControllerStats>>;
}

export interface HealthServer extends AsyncDisposable {
  readonly port: number;
}

/** `listen` is HOST:PORT; port 0 lets the system choose. Rejects if the address cannot be had. */
export async function serveHealth(listen: string, checks: HealthChecks): Promise<HealthServer> {
  const [, host = '127.0.0.1', port = '0'] = /^(.*):(\d+)$/.exec(listen) ?? [];
  const server = createServer((request, response) => {
    const { status, body } = answer(request.url ?? '/', checks);
    response.writeHead(status, { 'content-type': 'text/plain; charset=utf-8' }).end(body);
  });
  server.listen(Number(port), host);
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    async [Symbol.asyncDispose]() {
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
    },
  };
}

function answer(path: string, checks: HealthChecks): { status: number; body: string } {
  switch (path) {
    case '/livez':
      return { status: 200, body: 'ok\n' };
    case '/readyz':
      return checks.ready() ? { status: 200, body: 'ok\n' } : { status: 503, body: 'caches are not filled yet\n' };
    case '/metrics':
      return { status: 200, body: metrics(checks.stats()) };
    default:
      return { status: 404, body: 'Try /livez, /readyz or /metrics\n' };
  }
}

const help: readonly (readonly [keyof ControllerStats, string, 'gauge' | 'counter', string])[] = [
  ['ready', 'queue_ready', 'gauge', 'Keys that wait for a worker.'],
  ['processing', 'queue_processing', 'gauge', 'Keys that are worked on.'],
  ['delayed', 'queue_delayed', 'gauge', 'Keys that wait for a time.'],
  ['runs', 'reconcile_total', 'counter', 'Reconciles that ended.'],
  ['retries', 'reconcile_retries_total', 'counter', 'Reconciles that have to be tried again.'],
  ['busyMs', 'reconcile_milliseconds_total', 'counter', 'Time spent in reconciles.'],
];

/** Prometheus' text format. */
function metrics(stats: Readonly<Record<string, ControllerStats>>): string {
  return help
    .map(([field, name, type, text]) => {
      const samples = Object.entries(stats).map(([controller, values]) => {
        return `computefactory_${name}{controller="${controller}"} ${values[field]}\n`;
      });
      return `# HELP computefactory_${name} ${text}\n# TYPE computefactory_${name} ${type}\n${samples.join('')}`;
    })
    .join('');
}
