/**
 * What the conformance suite is run against: any master that speaks the v1 APIs. The local Mesos is one subject; a real master is another
 * (`MESOS_MASTER=http://host:5050`, several as a list with commas, agents of our own with `MESOS_AGENT_BIN=/usr/sbin/mesos-agent`).
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { freePort } from '#lib/std/free-ports.ts';
import { startAgent } from '../local/agent/agent.ts';
import { startMaster } from '../local/master/master.ts';
import { parseAttributes, parseResources } from '../local/resources.ts';
import { eventually, operatorCall, temporaryDirectory } from '../local/testing/cluster.ts';
import { startAgentProgram } from '../local/testing/programs.ts';

/** An agent that the suite starts, kills and starts again, with one work directory. */
export interface ControlledAgent {
  readonly hostname: string;
  readonly url: string;
  /** Starts its process, and does not wait for anything. */
  launch(): Promise<void>;
  /** Resolves when a master counts it among its agents. */
  start(): Promise<string>;
  /** kill -9; executors go on running. */
  kill(): Promise<void>;
  /** True while its process runs. */
  readonly isRunning: () => boolean;
}

export interface Subject extends AsyncDisposable {
  readonly name: string;
  /** URLs, the leader's first. */
  readonly masters: readonly string[];
  /** How long something that Mesos does by itself may take: a real one counts silent agents for 75 s. */
  readonly patienceMs: number;
  /** An agent on this machine that is not running yet; undefined if the suite may start none. */
  readonly newAgent: ((hostname: string) => Promise<ControlledAgent>) | undefined;
  /** Ends the leading master at once and starts it again; undefined if that is not the suite's to do. */
  readonly restartMaster: (() => Promise<void>) | undefined;
}

const resources = 'cpus:4;mem:4096;disk:10240;ports:[31000-32000]';

async function idOf(master: string, hostname: string): Promise<string | undefined> {
  type Agents = {
    get_agents: { agents?: { active: boolean; agent_info: { hostname: string; id: { value: string } } }[] };
  };
  const { get_agents } = await operatorCall<Agents>(master, { type: 'GET_AGENTS' });
  return get_agents.agents?.find((agent) => agent.active && agent.agent_info.hostname === hostname)?.agent_info.id
    .value;
}

interface Process {
  kill(): Promise<void>;
  isRunning(): boolean;
}

/** `launch` starts the agent's process for the given port and work directory. */
function controlled(
  stack: AsyncDisposableStack,
  master: () => string,
  launch: (port: number, workDir: string, hostname: string) => Promise<Process>,
  patienceMs: number,
): (hostname: string) => Promise<ControlledAgent> {
  const directory = stack.use(temporaryDirectory());
  return async (hostname) => {
    const port = await freePort();
    const workDir = join(directory.path, hostname);
    mkdirSync(workDir, { recursive: true });
    let running: Process | undefined;
    const launchHere = async () => {
      running = await launch(port, workDir, hostname);
    };
    return {
      hostname,
      url: `http://127.0.0.1:${port}`,
      launch: launchHere,
      async start() {
        await launchHere();
        return eventually(`agent ${hostname}`, () => idOf(master(), hostname), patienceMs);
      },
      async kill() {
        await running?.kill();
      },
      isRunning: () => running?.isRunning() ?? false,
    };
  };
}

/** The local Mesos: master and one agent in this process, with shorter times than a real one's; more agents as processes. */
export async function localSubject(): Promise<Subject> {
  await using stack = new AsyncDisposableStack();
  const directory = stack.use(temporaryDirectory());
  const port = await freePort();
  const timing = { allocationIntervalMs: 200, agentPingTimeoutMs: 700, maxAgentPingTimeouts: 2 };
  const start = () => startMaster({ port, workDir: join(directory.path, 'master'), ...timing });
  let master = await start();
  stack.defer(() => master[Symbol.asyncDispose]());
  stack.use(
    await startAgent({
      port: 0,
      master: master.url,
      workDir: join(directory.path, 'steady'),
      hostname: 'steady.lab',
      resources: parseResources(resources),
      attributes: parseAttributes('rack:r1'),
      updateRetryMs: 500,
    }),
  );
  await eventually('the first agent', () => idOf(master.url, 'steady.lab'));
  const { url } = master;
  const flags = ['--executor-reregistration-timeout', '3'];
  const launch = async (agentPort: number, workDir: string, hostname: string): Promise<Process> => {
    const program = await startAgentProgram(agentPort, workDir, url, ['--hostname', hostname, ...flags]);
    return { kill: () => program.kill(), isRunning: () => isAlive(program.pid) };
  };
  const newAgent = controlled(stack, () => url, launch, 15_000);
  const running = stack.move();
  return {
    name: 'local Mesos',
    masters: [url],
    patienceMs: 15_000,
    newAgent,
    async restartMaster() {
      await master[Symbol.asyncDispose]();
      master = await start();
    },
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  };
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

async function launchReal(
  binary: string,
  master: string,
  port: number,
  workDir: string,
  hostname: string,
): Promise<Process> {
  const flags = [
    `--master=${new URL(master).host}`,
    `--work_dir=${workDir}`,
    `--runtime_dir=${workDir}-run`,
    '--ip=127.0.0.1',
    `--port=${port}`,
    `--hostname=${hostname}`,
    `--resources=${resources}`,
    '--attributes=rack:r1',
    '--launcher=posix',
    '--isolation=posix/cpu,posix/mem',
    '--containerizers=mesos',
    '--no-systemd_enable_support',
    '--no-hostname_lookup',
  ];
  const child: ChildProcess = spawn(binary, flags, { stdio: 'ignore' });
  await once(child, 'spawn');
  return {
    async kill() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      child.kill('SIGKILL');
      await once(child, 'exit');
    },
    isRunning: () => child.exitCode === null && child.signalCode === null,
  };
}

/** A master that somebody else runs. Meant for one that is there to be tested: the suite reserves, drains and sets weights. */
export async function realSubject(masters: readonly string[], agentBinary: string | undefined): Promise<Subject> {
  await using stack = new AsyncDisposableStack();
  const patienceMs = 150_000;
  const [leader = ''] = masters;
  const newAgent =
    agentBinary === undefined
      ? undefined
      : controlled(
          stack,
          () => leader,
          (...where) => launchReal(agentBinary, leader, ...where),
          patienceMs,
        );
  const steady = await newAgent?.('steady.lab');
  if (steady !== undefined) {
    stack.defer(() => steady.kill());
    await steady.start();
  }
  const running = stack.move();
  return {
    name: `Mesos at ${masters.join(', ')}`,
    masters,
    patienceMs,
    newAgent,
    restartMaster: undefined,
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  };
}
