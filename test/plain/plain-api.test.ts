/**
 * The proof that controllers and cluster server use only what a plain Kubernetes API server offers: both run a whole story, from a
 * ComputeFactory to running machines and back to nothing, under their own roles and with every call looked at; and once more on answers as an old server gives them.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import { runControllers } from '#controllers/main.ts';
import { runClusterServer } from '#controllers/scheduler/server.ts';
import { FakeMesos } from '#controllers/scheduler/testing/fake-mesos.ts';
import { ConfigMap, Namespace } from '#lib/api/core.ts';
import {
  Cluster,
  ComputeFactory,
  Image,
  IPLease,
  Subnet,
  VirtualMachine,
  VMOperation,
  VMPool,
} from '#lib/api/generated/index.ts';
import { type KubeObject, ownerReference } from '#lib/api/meta.ts';
import type { Client } from '#lib/client/client.ts';
import { httpClient } from '#lib/client/http-client.ts';
import { systemClock } from '#lib/std/clock.ts';
import { type Log, silentLog } from '#lib/std/log.ts';
import { systemRandom } from '#lib/std/random.ts';
import { callsInCode, tableOf } from '../../hack/controllers-api.ts';
import { apiWorld, programTokens } from '../api-world.ts';
import { type Gate, plainGate } from './gate.ts';

const apiVersion = 'computefactory.io/v1alpha1';
const namespace = 'team';
const within = { timeout: 30_000, interval: 50 };
const at = (name: string) => ({ name, namespace });

interface Run extends AsyncDisposable {
  readonly gate: Gate;
  /** The user's, straight to the server. */
  readonly hand: Client;
  readonly errors: readonly unknown[];
}

async function running(old: boolean): Promise<Run> {
  await using stack = new AsyncDisposableStack();
  const world = stack.use(await apiWorld());
  const mesos = stack.use(await FakeMesos.start());
  for (const name of ['h1', 'h2']) mesos.addHost(name, 16.5, 65_536);
  const gate = stack.use(await plainGate(world.endpoint, { old }));
  const clientOf = (program: keyof typeof programTokens) =>
    stack.use(httpClient({ ...gate.endpoint, authorization: async () => `Bearer ${programTokens[program]}` }));
  const controllers = { client: clientOf('controllers'), identity: 'one' };
  const clusterServer = { client: clientOf('clusterServer'), cluster: 'lab', installation: 'one' };
  const hand = world.client;
  await hand.create(Cluster, {
    ...{ apiVersion, kind: 'Cluster', metadata: { name: 'lab' } },
    spec: { masters: [mesos.origin], executor: { command: '/bin/factory-executor', cores: '0.5', memory: '512Mi' } },
  });
  const errors: unknown[] = [];
  const log: Log = { ...silentLog, error: (message, fields) => void errors.push([message, fields]), child: () => log };
  const stop = new AbortController();
  const ended = Promise.all([
    runControllers({ ...controllers, log, freeze: true }, stop.signal),
    runClusterServer({ ...clusterServer, clock: systemClock, random: systemRandom, log }, stop.signal),
  ]);
  ended.catch((error: unknown) => errors.push(error));
  stack.defer(async () => {
    stop.abort(new Error('enough'));
    await ended;
  });
  const moved = stack.move();
  return { gate, hand, errors, [Symbol.asyncDispose]: () => moved.disposeAsync() };
}

/** Ends with the namespace gone. */
async function wholeStory(hand: Client): Promise<void> {
  const names = async () => (await hand.list(VirtualMachine, { namespace })).items.map(({ metadata }) => metadata.name);
  const phases = async () => (await hand.list(VirtualMachine, { namespace })).items.map(({ status }) => status?.phase);
  await hand.create(Namespace, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } });
  await hand.create(Image, {
    ...{ apiVersion, kind: 'Image', metadata: at('debian') },
    spec: { source: { file: { path: 'debian.qcow2' } } },
  });
  await hand.create(Subnet, {
    ...{ apiVersion, kind: 'Subnet', metadata: at('net') },
    spec: { cidr: '10.66.0.0/24', releaseCooldown: '1s' } as never,
  });
  const template = { spec: { image: { name: 'debian' }, networks: [{ subnet: 'net' }] } };
  const shapes = [{ cores: 2, memory: '2Gi' }];
  const factory = { apiVersion, kind: 'ComputeFactory', metadata: at('render') } as const;
  await hand.create(ComputeFactory, { ...factory, spec: { capacity: { target: 8 }, shapes, template } as never });
  await vi.waitFor(async () => expect(await phases()).toEqual(Array(4).fill('Running')), within);

  const [first] = await names();
  const stop = { vm: first!, type: 'Restart', ttlSecondsAfterFinished: 1 } as const;
  await hand.create(VMOperation, { apiVersion, kind: 'VMOperation', metadata: at('again'), spec: stop as never });
  await hand.patch(ComputeFactory, at('render'), { spec: { capacity: { target: 4 } } });
  await vi.waitFor(async () => expect(await names()).toHaveLength(2), within);
  const owner = await hand.create(ConfigMap, { apiVersion: 'v1', kind: 'ConfigMap', metadata: at('owner') });
  await dependent(hand, 'orphan', owner);
  await hand.delete(ConfigMap, at('owner'), { propagation: 'Orphan' });
  const orphaned = async () => (await hand.get(ConfigMap, at('orphan'))).metadata.ownerReferences ?? [];
  await vi.waitFor(async () => expect(await orphaned()).toEqual([]), within);

  await hand.delete(ComputeFactory, at('render'), { propagation: 'Foreground' });
  await vi.waitFor(async () => expect(await names()).toEqual([]), within);
  await hand.delete(Namespace, { name: namespace });
  const gone = () => expect(hand.get(Namespace, { name: namespace })).rejects.toMatchObject({ code: 'NotFound' });
  await vi.waitFor(gone, within);
  for (const kind of [VMPool, IPLease, Subnet, Image, ConfigMap])
    expect((await hand.list(kind, { namespace })).items).toEqual([]);
}

async function dependent(hand: Client, name: string, owner: KubeObject): Promise<void> {
  const metadata = { ...at(name), ownerReferences: [ownerReference(owner)] };
  await hand.create(ConfigMap, { apiVersion: 'v1', kind: 'ConfigMap', metadata });
}

/** As the gate names calls; a call on every kind stands for that call on any. */
function documented(call: string): boolean {
  const [verb = '', kind = ''] = call.split(' ');
  if (verb === 'discover') return true;
  return [...callsInCode().values()].some((kinds) =>
    [kind, 'every kind'].some((name) => kinds.get(name)?.has(verb) ?? false),
  );
}

describe('controllers and cluster server', () => {
  it('make only calls that a plain Kubernetes API server takes, and only those that are written down', async () => {
    await using run = await running(false);
    await wholeStory(run.hand);
    expect(run.gate.requests).toBeGreaterThan(100);
    expect([...run.gate.violations]).toEqual([]);
    expect([...run.gate.calls].filter((call) => !documented(call))).toEqual([]);
    expect(run.errors).toEqual([]);
  }, 120_000);

  it('get there on plain answers: nothing newer than list and watch, nothing beyond the recordings', async () => {
    await using run = await running(true);
    await wholeStory(run.hand);
    expect([...run.gate.violations, ...run.gate.extensions]).toEqual([]);
    expect(run.errors).toEqual([]);
  }, 120_000);

  it('are documented as they are', () => {
    const page = readFileSync(join(import.meta.dirname, '../../docs/controllers-api.md'), 'utf8');
    expect(page).toContain(tableOf(callsInCode()));
  });
});
