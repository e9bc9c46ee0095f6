/** A local Mesos for tests: a master and agents in this process, executors as real processes, everything gone at the end. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type RunningAgent, startAgent } from '../agent/agent.ts';
import type { AgentOptions } from '../agent/options.ts';
import { startMaster } from '../master/master.ts';
import type { MasterOptions } from '../master/options.ts';
import { parseAttributes, parseResources } from '../resources.ts';

export interface Cluster extends AsyncDisposable {
  readonly url: string;
  /** URLs of the agents, by host name. */
  readonly agents: ReadonlyMap<string, RunningAgent>;
}

export const labResources = parseResources('cpus:4;mem:4096;disk:10240;ports:[31000-32000]');
const labAttributes = 'hypervisor:qemu;vcpu_ratio:4;ports_ok:[100-200]';

/** A directory for one test. At its end the executors that run in it are ended: agents leave them running, as they should. */
export function temporaryDirectory(): Disposable & { readonly path: string } {
  const path = mkdtempSync(join(tmpdir(), 'mesos-local-'));
  return {
    path,
    [Symbol.dispose]() {
      endProcessesIn(path);
      rmSync(path, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}

function endProcessesIn(directory: string): void {
  for (const pid of readdirSync('/proc').map(Number).filter(Number.isInteger)) {
    try {
      const environment = readFileSync(`/proc/${pid}/environ`, 'utf8');
      if (environment.includes(`MESOS_SANDBOX=${directory}/`)) process.kill(pid, 'SIGKILL');
    } catch {
      // Ended meanwhile, or not ours to look at.
    }
  }
}

/** The cluster that was recorded: host1.lab and host2.lab. */
export async function startCluster(
  options: { master?: Partial<MasterOptions>; agent?: Partial<AgentOptions>; hosts?: readonly string[] } = {},
): Promise<Cluster> {
  await using stack = new AsyncDisposableStack();
  const directory = stack.use(temporaryDirectory());
  const master = stack.use(await startMaster({ port: 0, workDir: join(directory.path, 'master'), ...options.master }));
  const agents = new Map<string, RunningAgent>();
  for (const hostname of options.hosts ?? ['host1.lab', 'host2.lab']) {
    const agent = await startAgent({
      port: 0,
      master: master.url,
      workDir: join(directory.path, hostname),
      hostname,
      resources: labResources,
      attributes: parseAttributes(`rack:r${hostname.replace(/\D/g, '')};${labAttributes}`),
      ...options.agent,
    });
    agents.set(hostname, stack.use(agent));
  }
  const running = stack.move();
  return { url: master.url, agents, [Symbol.asyncDispose]: () => running.disposeAsync() };
}

/** Waits until `probe` gives something; throws after `withinMs`, naming what was waited for. */
export async function eventually<T>(
  what: string,
  probe: () => T | undefined | Promise<T | undefined>,
  withinMs = 45_000,
): Promise<T> {
  for (const end = Date.now() + withinMs; Date.now() < end; ) {
    const value = await probe();
    if (value !== undefined && value !== false) return value;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  throw new Error(`Not within ${withinMs} ms: ${what}`);
}

/** One call of the operator API of a master or an agent. */
export async function operatorCall<T>(url: string, call: object): Promise<T> {
  const headers = { 'content-type': 'application/json', accept: 'application/json' };
  const response = await fetch(`${url}/api/v1`, { method: 'POST', headers, body: JSON.stringify(call) });
  const text = await response.text();
  if (!response.ok) throw new Error(`${JSON.stringify(call)} was answered with ${response.status}: ${text}`);
  return (text === '' ? {} : JSON.parse(text)) as T;
}
