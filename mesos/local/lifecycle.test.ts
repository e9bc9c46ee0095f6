import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { freePort } from '#lib/std/free-ports.ts';
import { silentLog } from '#lib/std/log.ts';
import type { FrameworkInfo } from '#mesos/types.ts';
import { startAgent } from './agent/agent.ts';
import { eventually, operatorCall, startCluster, temporaryDirectory } from './testing/cluster.ts';
import { startAgentProgram, startMasterProgram } from './testing/programs.ts';
import { labCommand, labFramework, TestScheduler } from './testing/scheduler.ts';

const oneHost = { hosts: ['host1.lab'], master: { allocationIntervalMs: 100 } };
const timeout = 60_000;

function executorPid(status: { container_status?: object }): number {
  return (status.container_status as { executor_pid: number }).executor_pid;
}

function isAlive(pid: number): boolean {
  try {
    return !readFileSync(`/proc/${pid}/stat`, 'latin1').includes(') Z ');
  } catch {
    return false;
  }
}

/** An acknowledgement that dies with a killed program is asked for again, which would be one status more. */
async function allAcknowledged(agentUrl: string): Promise<void> {
  await eventually('the last acknowledgement', async () => {
    const metrics = await fetch(`${agentUrl}/metrics`);
    return (await metrics.text()).includes('mesos_local_agent_unacknowledged 0\n') || undefined;
  });
}

async function agentsOf(url: string): Promise<{ agent_info: { id: { value: string } } }[]> {
  const answer = await operatorCall<{ get_agents: { agents: { agent_info: { id: { value: string } } }[] } }>(url, {
    type: 'GET_AGENTS',
  });
  return answer.get_agents.agents;
}

test('an executor that exits is a FAILURE with its wait status, and ends its tasks', { timeout }, async () => {
  await using cluster = await startCluster(oneHost);
  await using scheduler = new TestScheduler(cluster.url);
  await scheduler.subscribe();
  const agent = await scheduler.launch('vm-1', 'ex-1', labCommand, { refuse_seconds: 1000 });
  await scheduler.status('vm-1', 'TASK_RUNNING');
  await scheduler.message(agent, 'ex-1', 'exit 7');
  const ended = await scheduler.status('vm-1', 'TASK_FAILED');
  expect(ended).toMatchObject({
    source: 'SOURCE_AGENT',
    reason: 'REASON_EXECUTOR_TERMINATED',
    message: 'Executor terminated',
  });
  const failure = scheduler.events.find((event) => event.type === 'FAILURE');
  expect(failure).toMatchObject({ failure: { executor_id: { value: 'ex-1' }, status: 7 << 8 } });
  await eventually('all of the host to be offered again', () =>
    scheduler.offers.find((offer) => offer.resources?.some((r) => r.name === 'cpus' && r.scalar?.value === 4)),
  );
});

test('executors that cannot start or end at once report as recorded', { timeout }, async () => {
  await using cluster = await startCluster({ ...oneHost, agent: { executorRegistrationTimeoutMs: 1000 } });
  await using scheduler = new TestScheduler(cluster.url);
  await scheduler.subscribe();
  const cases: [name: string, command: string, status: number, reason: string][] = [
    ['nocmd', '/no/such/program', 127 << 8, 'REASON_EXECUTOR_TERMINATED'],
    ['exit0', 'exit 0', 0, 'REASON_EXECUTOR_TERMINATED'],
    ['sig', 'kill -9 $$', 9, 'REASON_EXECUTOR_TERMINATED'],
    ['never', 'exec sleep 1000', 9, 'REASON_EXECUTOR_REGISTRATION_TIMEOUT'],
  ];
  for (const [name, command, status, reason] of cases) {
    await scheduler.launch(name, `ex-${name}`, command);
    expect(await scheduler.status(name, 'TASK_FAILED')).toMatchObject({ reason, source: 'SOURCE_AGENT' });
    expect(scheduler.events.filter((event) => event.type === 'FAILURE').at(-1)).toMatchObject({
      failure: { executor_id: { value: `ex-${name}` }, status },
    });
  }
});

test('kill -9 of the agent leaves the executor, which the next agent takes up', { timeout }, async () => {
  using directory = temporaryDirectory();
  const [masterPort, agentPort] = [await freePort(), await freePort()];
  await using master = await startMasterProgram(masterPort, join(directory.path, 'm'), [
    '--allocation-interval',
    '0.1',
  ]);
  const agentDirectory = join(directory.path, 'a');
  const flags = ['--executor-reregistration-timeout', '15'];
  await using first = await startAgentProgram(agentPort, agentDirectory, master.url, flags);
  await using scheduler = new TestScheduler(master.url);
  await scheduler.subscribe();
  const agentId = await scheduler.launch('vm-1', 'ex-1');
  const pid = executorPid(await scheduler.status('vm-1', 'TASK_RUNNING'));
  await allAcknowledged(first.url);

  await first.kill();
  expect(isAlive(pid)).toBe(true);
  await using _second = await startAgentProgram(agentPort, agentDirectory, master.url, flags);
  await eventually('an answer from the executor', async () => {
    await scheduler.message(agentId, 'ex-1', 'still there?');
    return scheduler.events.find((event) => event.type === 'MESSAGE');
  });
  expect((await agentsOf(master.url)).map((agent) => agent.agent_info.id.value)).toEqual([agentId]);
  expect(scheduler.statuses('vm-1').map((status) => status.state)).toEqual(['TASK_STARTING', 'TASK_RUNNING']);

  await scheduler.call({ type: 'TEARDOWN' });
  await eventually('the end of the executor', () => !isAlive(pid) || undefined);
});

test('a KILL for a task whose agent is away is told to the agent when it is back', { timeout }, async () => {
  using directory = temporaryDirectory();
  const agentPort = await freePort();
  await using cluster = await startCluster({ ...oneHost, hosts: [] });
  const flags = ['--executor-reregistration-timeout', '15'];
  await using first = await startAgentProgram(agentPort, join(directory.path, 'a'), cluster.url, flags);
  await using scheduler = new TestScheduler(cluster.url);
  await scheduler.subscribe();
  const agent_id = { value: await scheduler.launch('vm-1', 'ex-1') };
  await scheduler.status('vm-1', 'TASK_RUNNING');
  await allAcknowledged(first.url);
  await first.kill();
  await scheduler.call({ type: 'KILL', kill: { task_id: { value: 'vm-1' }, agent_id } });
  expect(scheduler.statuses('vm-1').at(-1)?.state).toBe('TASK_RUNNING');
  await using _second = await startAgentProgram(agentPort, join(directory.path, 'a'), cluster.url, flags);
  await scheduler.status('vm-1', 'TASK_KILLED');
});

test('an executor that died with its agent ends its tasks when the agent is back', { timeout }, async () => {
  using directory = temporaryDirectory();
  const agentPort = await freePort();
  await using cluster = await startCluster({ ...oneHost, hosts: [] });
  const agentDirectory = join(directory.path, 'a');
  await using first = await startAgentProgram(agentPort, agentDirectory, cluster.url);
  await using scheduler = new TestScheduler(cluster.url);
  await scheduler.subscribe();
  await scheduler.launch('vm-1', 'ex-1');
  const pid = executorPid(await scheduler.status('vm-1', 'TASK_RUNNING'));
  await first.kill();
  process.kill(-pid, 'SIGKILL');
  await using _second = await startAgentProgram(agentPort, agentDirectory, cluster.url);
  expect(await scheduler.status('vm-1', 'TASK_FAILED')).toMatchObject({ reason: 'REASON_EXECUTOR_TERMINATED' });
});

test('an executor that does not come back in time is killed: TASK_GONE', { timeout }, async () => {
  using directory = temporaryDirectory();
  const agentPort = await freePort();
  await using cluster = await startCluster({ ...oneHost, hosts: [] });
  const agentDirectory = join(directory.path, 'a');
  await using first = await startAgentProgram(agentPort, agentDirectory, cluster.url);
  await using scheduler = new TestScheduler(cluster.url);
  await scheduler.subscribe();
  await scheduler.launch('late-1', 'late-ex');
  const pid = executorPid(await scheduler.status('late-1', 'TASK_RUNNING'));
  process.kill(pid, 'SIGSTOP');
  await first.kill();
  await using _second = await startAgentProgram(agentPort, agentDirectory, cluster.url);
  expect(await scheduler.status('late-1', 'TASK_GONE')).toMatchObject({
    reason: 'REASON_EXECUTOR_REREGISTRATION_TIMEOUT',
    message: 'Executor did not reregister within 2secs',
  });
  expect(isAlive(pid)).toBe(false);
});

test('a silent agent is unreachable, and its tasks return with it', { timeout }, async () => {
  using directory = temporaryDirectory();
  const agentPort = await freePort();
  const pings = { agentPingTimeoutMs: 300, maxAgentPingTimeouts: 2 };
  await using cluster = await startCluster({ hosts: [], master: { allocationIntervalMs: 100, ...pings } });
  const agentDirectory = join(directory.path, 'a');
  const flags = ['--executor-reregistration-timeout', '15'];
  await using first = await startAgentProgram(agentPort, agentDirectory, cluster.url, flags);
  await using scheduler = new TestScheduler(cluster.url);
  await scheduler.subscribe();
  const agentId = await scheduler.launch('de-vm', 'de-ex');
  await scheduler.status('de-vm', 'TASK_RUNNING');
  await allAcknowledged(first.url);
  await first.kill();
  const lost = await scheduler.status('de-vm', 'TASK_UNREACHABLE');
  expect(lost).toMatchObject({ reason: 'REASON_AGENT_REMOVED', message: 'health check timed out' });
  expect(lost.uuid).toBeUndefined();
  expect(lost.unreachable_time).toBeDefined();
  const agent_id = { value: agentId };
  await eventually('FAILURE of the agent', () =>
    scheduler.events.find((event) => event.type === 'FAILURE' && event.failure.agent_id?.value === agentId),
  );
  await scheduler.call({
    type: 'RECONCILE',
    reconcile: { tasks: [{ task_id: { value: 'de-vm' }, agent_id }, { task_id: { value: 'de-vm' } }] },
  });
  await scheduler.status('de-vm', 'TASK_UNKNOWN');
  const before = scheduler.statuses('de-vm').length;

  await using _second = await startAgentProgram(agentPort, agentDirectory, cluster.url, flags);
  expect(await scheduler.status('de-vm', 'TASK_RUNNING', before)).toMatchObject({
    reason: 'REASON_AGENT_REREGISTERED',
    message: 'Unreachable agent re-reregistered',
    executor_id: { value: 'de-ex' },
    healthy: true,
  });
});

test('an agent that is not pinged registers anew: the connection may be dead without a word', { timeout }, async () => {
  using directory = temporaryDirectory();
  await using cluster = await startCluster({ hosts: [], master: { agentPingTimeoutMs: 60_000 } });
  const reasons: string[] = [];
  const warn = (_: string, fields?: object) => void reasons.push((fields as { reason: string }).reason);
  await using _agent = await startAgent({
    ...{ master: cluster.url, port: 0, hostname: 'host1.lab', resources: [], workDir: directory.path },
    ...{ masterPingTimeoutMs: 300, log: { ...silentLog, warn } },
  });
  await eventually('two more registrations', () => reasons.length >= 2 || undefined);
  expect(reasons[0]).toBe('No ping from the master for 0 s');
  expect(await agentsOf(cluster.url)).toHaveLength(1);
});

test('a restarted master has its agents and tasks again, and says nothing it cannot know', { timeout }, async () => {
  using directory = temporaryDirectory();
  const [masterPort, agentPort] = [await freePort(), await freePort()];
  const masterDirectory = join(directory.path, 'm');
  await using first = await startMasterProgram(masterPort, masterDirectory, ['--allocation-interval', '0.1']);
  await using agent = await startAgentProgram(agentPort, join(directory.path, 'a'), first.url);
  await using scheduler = new TestScheduler(first.url);
  await scheduler.subscribe();
  const agentId = await scheduler.launch('mr-vm', 'mr-ex');
  await scheduler.status('mr-vm', 'TASK_RUNNING');
  await allAcknowledged(agent.url);
  await first.kill();
  process.kill(agent.pid, 'SIGSTOP');

  await using _second = await startMasterProgram(masterPort, masterDirectory, ['--allocation-interval', '0.1']);
  await scheduler.subscribe();
  await scheduler.call({
    type: 'RECONCILE',
    reconcile: {
      tasks: [
        { task_id: { value: 'mr-vm' } },
        { task_id: { value: 'mr-vm' }, agent_id: { value: agentId } },
        { task_id: { value: 'never-was' }, agent_id: { value: 'other-S0' } },
      ],
    },
  });
  await scheduler.status('never-was', 'TASK_UNKNOWN');
  expect(scheduler.statuses('mr-vm').map((status) => status.state)).toEqual(['TASK_STARTING', 'TASK_RUNNING']);

  process.kill(agent.pid, 'SIGCONT');
  await eventually('the agent', async () => (await agentsOf(first.url))[0]);
  await scheduler.call({ type: 'RECONCILE', reconcile: { tasks: [{ task_id: { value: 'mr-vm' } }] } });
  expect(await scheduler.status('mr-vm', 'TASK_RUNNING', 2)).toMatchObject({
    reason: 'REASON_RECONCILIATION',
    message: 'Reconciliation: Latest task state',
    executor_id: { value: 'mr-ex' },
    healthy: true,
  });
  expect((await agentsOf(first.url))[0]!.agent_info.id.value).toBe(agentId);
  const offer = await eventually('an offer', () => scheduler.offers[0]);
  expect(offer.executor_ids).toEqual([{ value: 'mr-ex' }]);
});

test('a framework without checkpointing loses its tasks with the connection of the agent', { timeout }, async () => {
  using directory = temporaryDirectory();
  await using cluster = await startCluster({ ...oneHost, hosts: [] });
  await using agent = await startAgentProgram(await freePort(), join(directory.path, 'a'), cluster.url);
  await using scheduler = new TestScheduler(cluster.url);
  const info: FrameworkInfo = { ...labFramework, checkpoint: false };
  await scheduler.subscribe(info);
  await scheduler.launch('nc-1', 'nc-ex');
  const pid = executorPid(await scheduler.status('nc-1', 'TASK_RUNNING'));
  await agent.kill();
  expect(await scheduler.status('nc-1', 'TASK_LOST')).toMatchObject({
    reason: 'REASON_AGENT_DISCONNECTED',
    message: 'Agent host1.lab disconnected',
  });
  process.kill(-pid, 'SIGKILL');
});

test('an executor gets the recorded environment and nothing of the agent', { timeout }, async () => {
  const variables = /^ {2}(\w+)=/gm;
  const recording = readFileSync(join(import.meta.dirname, '../testdata/34y-executor-of-34.txt'), 'utf8');
  const recorded = [...recording.matchAll(variables)]
    .map((match) => match[1])
    .filter((name) => name !== 'LAB_EXEC_LOG');
  using directory = temporaryDirectory();
  await using cluster = await startCluster({ ...oneHost, agent: { workDir: directory.path } });
  await using scheduler = new TestScheduler(cluster.url);
  await scheduler.subscribe();
  await scheduler.launch('env', 'env', 'env; exit 1');
  await scheduler.status('env', 'TASK_FAILED');
  const paths = readdirSync(directory.path, { recursive: true, encoding: 'utf8' });
  const stdout = readFileSync(join(directory.path, paths.find((path) => path.endsWith('stdout'))!), 'utf8');
  const given = stdout.split('\n').map((line) => line.split('=', 1)[0]!);
  expect(given.filter((name) => name !== '').sort()).toEqual(recorded.sort());
});
