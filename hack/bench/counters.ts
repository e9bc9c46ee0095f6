/** What was asked of the API server and of Mesos, and written into etcd, counted by those who were asked. */
import { get } from 'node:https';
import type { BenchServer } from './server.ts';

/** What is counted -> how often. */
export type Counts = ReadonlyMap<string, number>;

/** How often each was counted between the two. */
export function difference(after: Counts, before: Counts): Counts {
  const entries = [...after].map(([key, count]) => [key, count - (before.get(key) ?? 0)] as const);
  return new Map(entries.filter(([, count]) => count !== 0));
}

export function sum(counts: Counts, holds: (key: string) => boolean = () => true): number {
  return [...counts].reduce((total, [key, count]) => (holds(key) ? total + count : total), 0);
}

/** `a=1.50 b=0.20`, the largest first. */
export function listed(counts: Counts, per = 1, digits = 2): string {
  const rows = [...counts].sort(([, a], [, b]) => b - a);
  return rows.map(([key, count]) => `${key}=${(count / per).toFixed(digits)}`).join(' ');
}

/** Requests answered so far: `PUT virtualmachines/status`. */
export async function apiCalls({ admin }: BenchServer): Promise<Counts> {
  const { port, ca, token } = admin;
  const headers = { authorization: `Bearer ${token}` };
  const text = await new Promise<string>((resolve, reject) => {
    const request = get({ host: '127.0.0.1', port, path: '/metrics', ca, agent: false, headers });
    request.on('error', reject).on('response', (response) => {
      let body = '';
      response.setEncoding('utf8').on('error', reject);
      response.on('data', (part: string) => {
        body += part;
      });
      response.on('end', () => resolve(body));
    });
  });
  return series(text, 'apiserver_request_total', ({ verb, resource, subresource }) =>
    resource ? `${verb} ${resource}${subresource ? `/${subresource}` : ''}` : '',
  );
}

const mutating = /^(POST|PUT|PATCH|DELETE|DELETECOLLECTION) /;

/** Calls that ask for a change. Who leads is told every other second, and is no matter of objects. */
export function isWrite(call: string): boolean {
  return mutating.test(call) && !isElection(call);
}

export const isElection = (call: string) => call.endsWith(' leases');

/** Calls of the framework and of operators that the local Mesos has had so far: `ACCEPT`. */
export async function mesosCalls(master: string): Promise<Counts> {
  const text = await (await fetch(`${master}/metrics`)).text();
  return series(text, 'mesos_local_calls_total', ({ type }) => type ?? '');
}

/** One family of a page of metrics; counts of the same key are added up, those without a key left out. */
function series(
  text: string,
  family: string,
  keyOf: (labels: Readonly<Record<string, string>>) => string,
): Map<string, number> {
  const counts = new Map<string, number>();
  for (const line of text.split('\n')) {
    const [, labels, value] = /^\w+\{(.*)\} (\S+)$/.exec(line) ?? [];
    if (labels === undefined || !line.startsWith(`${family}{`)) continue;
    const key = keyOf(
      Object.fromEntries([...labels.matchAll(/(\w+)="([^"]*)"/g)].map(([, name, word]) => [name!, word!])),
    );
    if (key) counts.set(key, (counts.get(key) ?? 0) + Number(value));
  }
  return counts;
}
