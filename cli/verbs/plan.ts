/**
 * What a factory would do now if its target were another: the controller's own plan, made here from what the API server says, and written
 * nowhere.
 */
import { inUnits } from '#controllers/computefactory/figures.ts';
import { poolCluster, shapeName } from '#controllers/computefactory/pool-name.ts';
import { planned } from '#controllers/computefactory/read.ts';
import type { Scope } from '#controllers/computefactory/scope.ts';
import { sameSize, weightOf } from '#controllers/computefactory/sizes.ts';
import { withoutHost } from '#controllers/computefactory/unfulfilled.ts';
import type { Cluster, ComputeFactory, InstanceType, VirtualMachine, VMPool } from '#lib/api/generated/index.ts';
import { controllerOf, type KubeObject } from '#lib/api/meta.ts';
import { systemClock } from '#lib/std/clock.ts';
import { UsageError } from '#lib/std/main.ts';
import { type ApiResource, discover, pathOf, resolveTargets, resolveWord } from '../resources.ts';
import { connect, type Session } from '../session.ts';
import { connectionFlags, connectionHelp, exit, parseFlags, readCount, type Verb } from '../verb.ts';

const flags = { ...connectionFlags, more: { type: 'string' }, target: { type: 'string' } } as const;

export const plan: Verb = {
  name: 'plan',
  summary: 'Show what a factory would do with another target, and do nothing',
  help: `Usage: factoryctl plan cf NAME|cf/NAME [--more=N | --target=N] [flags]

Examples:
  factoryctl plan cf/render -n studio-a                what the target it has comes to now
  factoryctl plan cf/render --more=300 -n studio-a     what 300 more units (cores, unless told) would be
  factoryctl plan cf/render --target=50 -n studio-a    what 50 units would be

Flags:
      --more N         Units above the target of the spec
      --target N       Units instead of the target of the spec
${connectionHelp}

Reads the factory, its pools and machines, and what every cluster says is free; changes nothing. Needs to list Clusters.
Exit codes: 0 all of it finds room now, 1 not all of it.`,
  async run(args, out) {
    const { values, positionals } = parseFlags('plan', args, flags);
    if (values.more !== undefined && values.target !== undefined)
      throw new UsageError('--more and --target exclude each other. See "factoryctl plan --help".');
    const session = connect(values);
    const resources = await discover(session);
    const targets = resolveTargets(resources, positionals, 'plan');
    if (targets.some(({ resource }) => resource.kind !== 'ComputeFactory'))
      throw new UsageError('Only a ComputeFactory has a plan. See "factoryctl plan --help".');
    let fits = true;
    for (const { resource, name } of targets) {
      const factory = await session.request<ComputeFactory>('GET', pathOf(resource, session.namespace, name));
      const target = targetOf(factory, values);
      const { lines, isWhole } = describePlan(factory, target, await read(session, resources, factory, target));
      for (const line of lines) out.line(line);
      fits &&= isWhole;
    }
    return fits ? exit.ok : exit.failed;
  },
};

function targetOf({ spec }: ComputeFactory, { more, target }: { more?: string; target?: string }): number {
  if (target !== undefined) return readCount('target', target);
  return spec.capacity.target + (more === undefined ? 0 : readCount('more', more));
}

type Foreseen = Pick<Scope, 'clusters' | 'pools' | 'plan' | 'invalid'>;

async function read(
  session: Session,
  resources: readonly ApiResource[],
  factory: ComputeFactory,
  target: number,
): Promise<Foreseen> {
  const { namespace } = factory.metadata;
  async function list<T extends KubeObject>(word: string): Promise<readonly T[]> {
    const resource = resolveWord(resources, word)[0]!;
    return (await session.request<{ items: T[] }>('GET', pathOf(resource, resource.namespaced ? namespace : undefined)))
      .items;
  }
  const [clusters, pools, machines, types] = await Promise.all([
    list<Cluster>('clusters'),
    list<VMPool>('vmpools'),
    list<VirtualMachine>('virtualmachines'),
    list<InstanceType>('instancetypes'),
  ]);
  const byOwner = Map.groupBy(machines, (vm) => controllerOf(vm)?.uid);
  const surroundings = {
    clusters,
    poolsOf: ({ metadata }: ComputeFactory) => pools.filter((pool) => controllerOf(pool)?.uid === metadata.uid),
    machinesOf: ({ metadata }: VMPool) => byOwner.get(metadata.uid) ?? [],
    typeOf: (name: string) => types.find(({ metadata }) => metadata.name === name),
  };
  return planned(factory, surroundings, target, systemClock.now());
}

/** Pure. */
export function describePlan(
  factory: ComputeFactory,
  target: number,
  { plan, pools, clusters, invalid }: Foreseen,
): { readonly lines: readonly string[]; readonly isWhole: boolean } {
  const { name } = factory.metadata;
  const { unit, target: now } = factory.spec.capacity;
  if (!plan) return { lines: [`${name}: ${invalid?.message ?? 'nothing can be planned'}`], isWhole: false };
  const rows = plan.pools.flatMap(({ cluster, size, replicas }) => {
    const known = pools.find((view) => poolCluster(view.pool) === cluster && sameSize(view.size, size));
    const change = replicas - (known?.pool.spec.replicas ?? 0);
    if (replicas === 0 && change === 0) return [];
    const difference = change === 0 ? '' : ` (${change > 0 ? '+' : ''}${change})`;
    const weight = inUnits(replicas * weightOf(unit, size), unit);
    return [`  ${cluster}: ${replicas} × ${shapeName(size)}${difference}, ${weight}`];
  });
  const total = `${name}: ${inUnits(target, unit)}${target === now ? '' : ` instead of ${now}`} would be ${inUnits(plan.units, unit)} in these pools:`;
  const { withoutRoom, shortOf } = plan;
  const unwanted = withoutHost({ factory, pools, clusters });
  const isWhole = withoutRoom === 0 && !shortOf && unwanted === undefined;
  const rest = [
    ...(withoutRoom > 0 ? [`  ${inUnits(withoutRoom, unit)} of that would wait: ${roomWords(clusters)}`] : []),
    ...(shortOf ? [`  less than the target: ${shortOf}`] : []),
    ...(unwanted === undefined ? [] : [`  more room would not help: ${unwanted}`]),
    ...(isWhole ? ['  every machine that is added finds room now'] : []),
  ];
  return { lines: [total, ...rows, ...rest], isWhole };
}

/** "lab-b has room on 3 hosts, the largest 20 cores". */
function roomWords(clusters: readonly Cluster[]): string {
  const words = clusters.map(({ metadata, status }) => {
    const free = status?.free ?? [];
    const hosts = free.reduce((sum, row) => sum + (row.hosts ?? 0), 0);
    const largest = Math.max(0, ...free.map(({ cores = 0 }) => cores));
    if (hosts === 0) return `${metadata.name} has no room`;
    return `${metadata.name} has room on ${hosts} ${hosts === 1 ? 'host' : 'hosts'}, ${inUnits(largest, 'Cores')} at most on one`;
  });
  return words.join('; ') || 'no Cluster may be used';
}
