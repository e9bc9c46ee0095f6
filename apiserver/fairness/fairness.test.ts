/** One tenant floods the whole server; what the others see is counted, not timed. */
import { Agent, request } from 'node:https';
import { expect, test } from 'vitest';
import { requestInfo } from '#apiserver/http/request-info.ts';
import { createMetrics } from '#apiserver/metrics/metrics.ts';
import { startTestServer, type TestServer } from '#apiserver/testing/start.ts';
import { programGroups } from '#lib/api/names.ts';
import { issue } from '#lib/tls/authority.ts';
import { VirtualClock } from '#test/virtual-clock.ts';
import { createFairness } from './fairness.ts';

const limits = {
  maxRequestsInflight: 8,
  maxMutatingRequestsInflight: 8,
  userRate: { perSecond: 1_000_000, burst: 1_000_000 },
};
const maps = '/api/v1/namespaces/default/configmaps';

const everybodyMayWrite = {
  apiVersion: 'rbac.authorization.k8s.io/v1',
  kind: 'ClusterRoleBinding',
  metadata: { name: 'tenants' },
  roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'cluster-admin' },
  subjects: [{ apiGroup: 'rbac.authorization.k8s.io', kind: 'Group', name: 'system:authenticated' }],
};

/** Requests of one user over connections that stay open, and what came of them, in the order of the answers. */
async function createTenant(started: TestServer, name: string, log: string[]) {
  const certificate = await issue(started.authority, { commonName: name, usage: 'client' });
  const agent = new Agent({
    keepAlive: true,
    maxSockets: 100,
    ca: started.authority.certificate,
    cert: certificate.certificate,
    key: certificate.key,
  });
  const create = (index: number) =>
    new Promise<{ status: number; retryAfter: string | undefined }>((resolve, reject) => {
      const outgoing = request(`${started.server.url}${maps}`, {
        agent,
        method: 'POST',
        headers: { 'content-type': 'application/json' },
      });
      outgoing.on('error', reject).on('response', (response) => {
        response.resume().on('end', () => {
          log.push(`${name} ${response.statusCode}`);
          resolve({ status: response.statusCode ?? 0, retryAfter: response.headers['retry-after'] });
        });
      });
      outgoing.end(JSON.stringify({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: `${name}-${index}` } }));
    });
  return { create, [Symbol.dispose]: () => agent.destroy() };
}

test('a tenant that floods is turned away with Retry-After; another is answered in turn, every time', async () => {
  await using started = await startTestServer({ limits });
  const log: string[] = [];
  using flooding = await createTenant(started, 'flood', log);
  using quiet = await createTenant(started, 'quiet', log);
  await started.request('/apis/rbac.authorization.k8s.io/v1/clusterrolebindings', {
    method: 'POST',
    body: everybodyMayWrite,
  });
  // A handshake is no request: its cost is not what is shared here.
  while ((await quiet.create(-1)).status === 403);
  const flood = Promise.all(Array.from({ length: 500 }, (_, index) => flooding.create(index)));
  const behind: number[] = [];
  for (let index = 0; index < 10; index++) {
    const before = log.length;
    expect((await quiet.create(index)).status).toBe(201);
    // Answers with 201 to the flood while the quiet tenant waited for one.
    behind.push(log.slice(before).filter((line) => line === 'flood 201').length);
  }
  const answers = await flood;
  const refused = answers.filter(({ status }) => status === 429);
  const accepted = answers.filter(({ status }) => status === 201);
  expect(refused.length + accepted.length).toBe(500);
  expect(refused.length).toBeGreaterThan(0);
  expect(refused.every(({ retryAfter }) => Number(retryAfter) >= 1)).toBe(true);
  const { text } = await started.request('/metrics');
  expect(text).toMatch(
    /apiserver_flowcontrol_rejected_requests_total\{priority_level="mutating",reason="queue-full"\} \d+/,
  );
  expect(text).toMatch(/apiserver_current_inflight_requests\{request_kind="mutating"\} 0\n/);
  process.stdout.write(
    `flood: ${accepted.length} of 500 let in; the other tenant: 10 of 10, behind ${behind} of the flood\n`,
  );
  expect(Math.max(...behind)).toBeLessThan(20);
});

test('probes, masters and the leases of our programs never wait; leases of others do', async () => {
  using metrics = createMetrics();
  const clock = new VirtualClock();
  const fairness = createFairness({ ...limits, maxMutatingRequestsInflight: 1 }, metrics, clock);
  const { signal } = new AbortController();
  const enter = (path: string, name: string, ...groups: string[]) =>
    fairness.enter(requestInfo('POST', path), { name, groups }, signal);
  using _ = await enter(maps, 'jo');
  const lease = '/apis/coordination.k8s.io/v1/namespaces/default/leases';
  for (const seat of [
    enter('/readyz', 'anybody'),
    enter(maps, 'root', 'system:masters'),
    enter(lease, 'manager', programGroups.controllers),
  ])
    (await seat)[Symbol.dispose]();
  const others = [enter(lease, 'al'), enter(maps, 'manager', programGroups.controllers)];
  const answers = Promise.allSettled(others);
  await clock.advance(15_000);
  expect((await answers).map(({ status }) => status)).toEqual(['rejected', 'rejected']);
});
