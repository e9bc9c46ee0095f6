/** What a master decides by itself about offers and launches, with flags that a conformance run cannot set. */
import { expect, test } from 'vitest';
import { mayRunBy } from './master/acls.ts';
import { parseResources } from './resources.ts';
import { eventually, startCluster } from './testing/cluster.ts';
import { labFramework, TestScheduler, taskOn } from './testing/scheduler.ts';

const hosts = ['host1.lab'];

test('what a task leaves waits for the interval; a REVIVE does not', { timeout: 30_000 }, async () => {
  await using cluster = await startCluster({ hosts, master: { allocationIntervalMs: 600_000 } });
  await using scheduler = new TestScheduler(cluster.url);
  await scheduler.subscribe();
  const offer = await eventually('an offer', () => scheduler.offers.shift());
  const { executor: _, ...task } = { ...taskOn(offer, 't', {} as never), command: { value: 'exit 0' } };
  const operations = [{ type: 'LAUNCH', launch: { task_infos: [task] } }];
  await scheduler.call({
    type: 'ACCEPT',
    accept: { offer_ids: [offer.id], operations, filters: { refuse_seconds: 0 } },
  });
  await scheduler.status('t', 'TASK_FINISHED');
  await new Promise((resolve) => setTimeout(resolve, 500));
  expect(scheduler.offers).toEqual([]);
  await scheduler.call({ type: 'REVIVE' });
  await eventually('an offer', () => scheduler.offers.length > 0);
});

test('who has less is offered what is left', async () => {
  await using cluster = await startCluster({ hosts, master: { allocationIntervalMs: 600_000 } });
  await using first = new TestScheduler(cluster.url);
  await first.subscribe({ ...labFramework, roles: ['a'] });
  await first.launch('t', 'ex');
  await first.status('t', 'TASK_RUNNING');
  await using second = new TestScheduler(cluster.url);
  await second.subscribe({ ...labFramework, roles: ['b'] });
  await eventually('an offer', () => second.offers.length > 0);
  expect(first.offers).toEqual([]);
});

test('an offer that is held for longer than --offer_timeout is rescinded and made anew', async () => {
  await using cluster = await startCluster({ hosts, master: { allocationIntervalMs: 100, offerTimeoutMs: 300 } });
  await using scheduler = new TestScheduler(cluster.url);
  await scheduler.subscribe();
  const first = await eventually('an offer', () => scheduler.offers.shift());
  const rescind = await eventually('RESCIND', () => scheduler.events.find((event) => event.type === 'RESCIND'));
  expect(rescind).toEqual({ type: 'RESCIND', rescind: { offer_id: first.id } });
  const second = await eventually('another offer', () => scheduler.offers.shift());
  expect(second.id.value).not.toBe(first.id.value);
});

test('agents with GPUs are offered only to frameworks that know of them', async () => {
  const resources = parseResources('cpus:4;mem:4096;gpus:1');
  await using cluster = await startCluster({ hosts, master: { allocationIntervalMs: 100 }, agent: { resources } });
  await using blind = new TestScheduler(cluster.url);
  await blind.subscribe({ ...labFramework, roles: ['blind'] });
  await using aware = new TestScheduler(cluster.url);
  const capabilities = [...labFramework.capabilities!, { type: 'GPU_RESOURCES' }];
  await aware.subscribe({ ...labFramework, roles: ['aware'], capabilities });
  await eventually('an offer', () => aware.offers.length > 0);
  expect(blind.offers).toEqual([]);
});

test('tasks of a user that the framework may not run as are refused, one by one', async () => {
  const principals = { type: 'ANY' as const };
  const mayRun = mayRunBy({ run_tasks: [{ principals, users: { values: ['nobody'] } }] });
  await using cluster = await startCluster({ hosts, master: { allocationIntervalMs: 100, mayRun } });
  await using scheduler = new TestScheduler(cluster.url);
  await scheduler.subscribe();
  const offer = await eventually('an offer', () => scheduler.offers.shift());
  const { executor: _, ...plain } = taskOn(offer, 'as-root', {} as never);
  const tasks = [
    { ...plain, command: { value: 'exit 0' } },
    { ...plain, name: 'as-nobody', task_id: { value: 'as-nobody' }, command: { value: 'exit 0', user: 'nobody' } },
  ];
  const operations = [{ type: 'LAUNCH', launch: { task_infos: tasks } }];
  await scheduler.call({ type: 'ACCEPT', accept: { offer_ids: [offer.id], operations } });
  expect(await scheduler.status('as-root', 'TASK_ERROR')).toMatchObject({
    source: 'SOURCE_MASTER',
    reason: 'REASON_TASK_UNAUTHORIZED',
    message: `Not authorized to launch as user 'root'`,
  });
  await scheduler.status('as-nobody', 'TASK_FINISHED');
});

test.each([
  [{}, 'p', 'root', true],
  [{ permissive: false }, 'p', 'root', false],
  [{ run_tasks: [{ principals: { values: ['p'] }, users: { type: 'NONE' as const } }] }, 'p', 'root', false],
  [{ run_tasks: [{ principals: { values: ['p'] }, users: { values: ['root'] } }] }, 'p', 'root', true],
  [{ run_tasks: [{ principals: { values: ['p'] }, users: { type: 'NONE' as const } }] }, 'q', 'root', true],
])('mayRunBy(%j): %s as %s is %s', (acls, principal, user, expected) => {
  expect(mayRunBy(acls)(principal, user)).toBe(expected);
});
