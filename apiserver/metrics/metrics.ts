/** The server's figures, under the names of Kubernetes so that existing dashboards and alerts fit. */
import type { Registry } from '#apiserver/resources/registry.ts';
import { qualifiedName } from '#apiserver/resources/resource.ts';
import type { Caches } from '#apiserver/storage/caches.ts';
import { createProcessMetrics } from './process.ts';
import { Counter, Gauge, Histogram } from './series.ts';

const seconds = [0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1, 1.5, 2, 3, 5, 10, 30, 60];
const resource = ['verb', 'group', 'version', 'resource', 'subresource', 'scope'];

export type Metrics = ReturnType<typeof createMetrics>;

export function createMetrics() {
  const families = {
    requests: new Counter({
      name: 'apiserver_request_total',
      help: 'Requests answered.',
      labels: [...resource, 'code'],
    }),
    requestSeconds: new Histogram(
      { name: 'apiserver_request_duration_seconds', help: 'Time to the answer, watches apart.', labels: resource },
      seconds,
    ),
    timeouts: new Counter({
      name: 'apiserver_request_terminations_total',
      help: 'Requests that the server gave up: past their deadline, or too many.',
      labels: ['code'],
    }),
    inFlight: new Gauge({
      name: 'apiserver_current_inflight_requests',
      help: 'Requests being worked on.',
      labels: ['request_kind'],
    }),
    inQueue: new Gauge({
      name: 'apiserver_flowcontrol_current_inqueue_requests',
      help: 'Requests that wait for their turn.',
      labels: ['priority_level'],
    }),
    rejected: new Counter({
      name: 'apiserver_flowcontrol_rejected_requests_total',
      help: 'Requests answered with 429.',
      labels: ['priority_level', 'reason'],
    }),
    longRunning: new Gauge({
      name: 'apiserver_longrunning_requests',
      help: 'Watches and consoles that are open.',
      labels: ['verb', 'resource'],
    }),
    watchEvents: new Counter({
      name: 'apiserver_watch_events_total',
      help: 'Events sent to watches.',
      labels: ['group', 'version', 'resource'],
    }),
    storeSeconds: new Histogram(
      {
        name: 'etcd_request_duration_seconds',
        help: 'Time the store took, SQLite as well as etcd.',
        labels: ['operation', 'type'],
      },
      seconds,
    ),
    storeErrors: new Counter({
      name: 'etcd_request_errors_total',
      help: 'Calls of the store that failed.',
      labels: ['operation', 'type'],
    }),
    objects: new Gauge({ name: 'apiserver_storage_objects', help: 'Objects stored, as cached.', labels: ['resource'] }),
    auditEvents: new Counter({ name: 'apiserver_audit_event_total', help: 'Audit events made.' }),
    auditErrors: new Counter({
      name: 'apiserver_audit_error_total',
      help: 'Audit events that were lost: the queue was full, or they could not be written.',
      labels: ['plugin'],
    }),
    authentications: new Counter({
      name: 'authentication_attempts',
      help: 'Requests by whether it could be told who sent them.',
      labels: ['result'],
    }),
    authorizations: new Counter({
      name: 'authorization_attempts_total',
      help: 'Requests by whether they were allowed.',
      labels: ['result'],
    }),
  };
  const process = createProcessMetrics();
  const text = () => [...Object.values(families).map((family) => family.text()), process.text()].join('');
  return { ...families, text, [Symbol.dispose]: () => process[Symbol.dispose]() };
}

/** How many objects of each kind there are, as far as the caches have loaded. */
export function countObjects(metrics: Metrics, registry: Registry, caches: Caches): void {
  for (const kind of registry.stored()) metrics.objects.set(caches.of(kind).size, [qualifiedName(kind)]);
}
