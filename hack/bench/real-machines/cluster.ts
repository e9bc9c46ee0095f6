/** A local cluster of one host whose machines are real, with what they boot, and somebody on their subnet who asks them. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { VirtualMachine } from '#lib/api/generated/index.ts';
import { systemClock } from '#lib/std/clock.ts';
import { must, samples } from '#test/e2e/local-cluster.ts';
import { placeGuestImage, type RealCluster, startRealCluster } from '#test/e2e/real-cluster.ts';
import { until } from '../programs.ts';

export const namespace = 'studio-a';
/** Of the sample's subnet, and far from the addresses that it gives first. */
const probeAddress = '10.66.255.250/16';
const answerMs = 120_000;

export interface Answer {
  /** Milliseconds since 1970. */
  readonly at: number;
  readonly body: string;
}

export interface Probe extends AsyncDisposable {
  readonly pid: number;
  /** Resolves when the guest with this address answers on HTTP. */
  answers(address: string): Promise<Answer>;
}

/** Resolves when the image is ready, and with it the host's executor. */
export async function startBenchCluster(hostCpus: number): Promise<RealCluster> {
  await using stack = new AsyncDisposableStack();
  const cluster = stack.use(await startRealCluster({ hosts: 1, hostCpus, hostMem: '2Gi' }));
  await placeGuestImage(cluster.dir);
  const files = ['00-namespace', '10-subnet', '20-image'].flatMap((name) => ['-f', join(samples, `${name}.yaml`)]);
  await must(cluster.factoryctl('apply', ...files));
  await must(cluster.factoryctl('wait', 'image/tiny', '--for=condition=Ready', '-n', namespace, '--timeout=2m'));
  stack.move();
  return cluster;
}

export async function startProbe({ hosts }: RealCluster): Promise<Probe> {
  const { netns } = hosts[0]!;
  const command = ['netns', 'exec', netns, process.execPath, join(import.meta.dirname, 'probe.ts'), probeAddress];
  const child = spawn('ip', command, { stdio: ['pipe', 'pipe', 'inherit'] });
  const waiting = new Map<string, (answer: Answer) => void>();
  const lines = createInterface({ input: child.stdout });
  const ready = once(lines, 'line');
  lines.on('line', (line) => {
    const [address, at, ...body] = line.split(' ');
    waiting.get(address!)?.({ at: Number(at), body: body.join(' ') });
  });
  await ready;
  return {
    pid: child.pid!,
    answers(address) {
      const { promise, resolve, reject } = Promise.withResolvers<Answer>();
      const timer = systemClock.timeout(
        () => reject(new Error(`${address} did not answer on HTTP within ${answerMs / 1000} s`)),
        answerMs,
      );
      waiting.set(address, (answer) => {
        timer[Symbol.dispose]();
        resolve(answer);
      });
      child.stdin.write(`${address}\n`);
      promise.catch(() => undefined); // told to whoever waits for it, who may begin later
      return promise;
    },
    async [Symbol.asyncDispose]() {
      child.stdin.end();
      if (child.exitCode === null) await once(child, 'exit');
    },
  };
}

/** Resolves when no machine is left, neither in the API nor on the host. */
export async function untilNothingIsLeft(cluster: RealCluster): Promise<void> {
  const gone = async () => (await cluster.client.list(VirtualMachine, { namespace })).items.length === 0;
  await until('the machines to be gone', gone, 120_000);
  const { domains, machineFiles } = await cluster.holdings();
  const left = [...domains, ...machineFiles, ...Object.keys(cluster.qemus())];
  if (left.length > 0) throw new Error(`Of machines that are gone there is still ${left.join(', ')}`);
}
