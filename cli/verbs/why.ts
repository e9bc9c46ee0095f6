/**
 * Explains an object that is not as asked: follows the chain factory, pool, machine, and what a machine needs, and prints at every
 * step the condition that says what is wrong.
 */
import type { Condition, ObjectMeta } from '#lib/api/meta.ts';
import { hostObjectName } from '#lib/api/names.ts';
import { isCode } from '#lib/std/errors.ts';
import type { Output } from '../output.ts';
import { type ApiResource, discover, displayName, pathOf, resolveTargets, resolveWord } from '../resources.ts';
import { connect, type Session } from '../session.ts';
import { connectionFlags, connectionHelp, exit, parseFlags, type Verb } from '../verb.ts';

/** Children shown of one parent: enough to see the pattern. */
const examplesMax = 5;

export const why: Verb = {
  name: 'why',
  summary: 'Explain why something is not as asked',
  help: `Usage: factoryctl why KIND NAME…|KIND/NAME… [flags]

Examples:
  factoryctl why cf render -n studio-a
  factoryctl why vm render-local-48c-0

Flags:
${connectionHelp}

Follows a factory to its pools and machines, and a machine to its image, subnet, host and cluster.
Exit codes: 0 as asked, 1 not as asked.`,
  async run(args, out) {
    const { values, positionals } = parseFlags('why', args, connectionFlags);
    const session = connect(values);
    const resources = await discover(session);
    let fine = true;
    for (const { resource, name } of resolveTargets(resources, positionals, 'why')) {
      const object = await session.request<Explained>('GET', pathOf(resource, session.namespace, name));
      const asAsked = !isTroubled(object);
      fine &&= asAsked;
      if (asAsked)
        out.line(
          `${displayName(resource, name)} is as asked: ${conditionOf(object, 'Ready')?.message || object.status?.message || 'nothing is wrong with it'}`,
        );
      else await explain({ session, resources, out }, resource, object, 0);
    }
    return fine ? exit.ok : exit.failed;
  },
};

interface Explained {
  readonly kind: string;
  readonly metadata: ObjectMeta;
  readonly spec?: Readonly<Record<string, unknown>>;
  readonly status?: {
    readonly conditions?: readonly Condition[];
    readonly attempt?: { readonly host?: string; readonly cluster?: string };
    readonly phase?: string;
    readonly message?: string;
  };
}

interface Walk {
  readonly session: Session;
  readonly resources: readonly ApiResource[];
  readonly out: Output;
}

function conditionOf(object: Explained, type: string): Condition | undefined {
  return object.status?.conditions?.find((condition) => condition.type === type);
}

/** These are bad news when they are True; all other conditions when they are not. */
const badWhenTrue = [
  'Stalled',
  'Conflict',
  'Reconciling',
  'DeletionBlocked',
  'ScaleInBlocked',
  'HealingBlocked',
  'FencingRequired',
  'Exhausted',
  'Suspended',
  'Paused',
  'Draining',
  'Migrating',
  'Emulated',
  'GCSuspended',
  'Suspect',
  'CleanupPending',
];

/** The conditions that say what is wrong, those that name a cause before Ready, which only sums up. */
export function troublesOf(conditions: readonly Condition[]): readonly Condition[] {
  const bad = conditions.filter(({ type, status }) =>
    badWhenTrue.includes(type) ? status === 'True' : status !== 'True',
  );
  const causes = bad
    .filter(({ type }) => type !== 'Reconciling')
    .sort((a, b) => Number(a.type === 'Ready') - Number(b.type === 'Ready'));
  // What is not looked at before something else holds tells nothing new once that is named.
  const known = causes.filter(({ status }) => status !== 'Unknown');
  return known.length > 0 ? known : causes;
}

/** Kinds that somebody reports on by a condition Ready. Of all others the phase, if there is one, is what there is to know. */
const reported = [
  ...['ComputeFactory', 'VMPool', 'VirtualMachine', 'VMSnapshot', 'VMRestore'],
  ...['Image', 'Subnet', 'Volume', 'Cluster', 'Host'],
];
const badPhases = ['Pending', 'InProgress', 'Failed', 'Superseded', 'Terminating'];

function isTroubled(object: Explained): boolean {
  if (object.metadata.deletionTimestamp !== undefined) return true;
  if (conditionOf(object, 'Healthy')?.status === 'False') return true;
  if (reported.includes(object.kind)) return conditionOf(object, 'Ready')?.status !== 'True';
  return badPhases.includes(object.status?.phase ?? '');
}

async function explain(walk: Walk, resource: ApiResource, object: Explained, depth: number): Promise<void> {
  const indent = '  '.repeat(depth);
  const { out } = walk;
  out.line(
    `${indent}${displayName(resource, object.metadata.name)}${object.metadata.deletionTimestamp ? ` (being deleted, waits for ${object.metadata.finalizers?.join(', ')})` : ''}`,
  );
  for (const line of linesOf(object)) out.line(`${indent}  ${line}`);
  await explainChildren(walk, object, depth);
  await explainNeeds(walk, object, depth);
}

/** A sentence is said once, with the condition that names the cause. */
export function linesOf({ kind, status }: Explained): readonly string[] {
  if (!reported.includes(kind)) return status?.phase ? [`${status.phase}: ${status.message ?? ''}`] : [];
  if (!status?.conditions?.length)
    return ['No controller has looked at it yet. Are they running? See "factoryctl local status".'];
  const said = new Set(['']);
  return troublesOf(status.conditions).map(({ type, status: holds, reason, message }) => {
    const text = `${type}=${holds} ${reason}`;
    if (said.has(message)) return text;
    said.add(message);
    return `${text}: ${message}`;
  });
}

const childKinds: Readonly<Record<string, string>> = { ComputeFactory: 'vmpools', VMPool: 'virtualmachines' };

async function explainChildren(walk: Walk, object: Explained, depth: number): Promise<void> {
  const word = childKinds[object.kind];
  if (!word) return;
  const resource = resolveWord(walk.resources, word)[0]!;
  const list = await walk.session.request<{ items: Explained[] }>('GET', pathOf(resource, object.metadata.namespace));
  const children = list.items.filter(({ metadata }) =>
    metadata.ownerReferences?.some(({ uid }) => uid === object.metadata.uid),
  );
  const troubled = children.map((child) => ({ ...child, kind: resource.kind })).filter(isTroubled);
  for (const child of troubled.slice(0, examplesMax)) await explain(walk, resource, child, depth + 1);
  const more = troubled.length - examplesMax;
  if (more > 0) walk.out.line(`${'  '.repeat(depth + 1)}and ${more} more ${resource.plural} that are not ready`);
}

/** Host and cluster of the live attempt. */
function hostOf({ status }: Explained): readonly { word: string; name: string; namespace: undefined }[] {
  const { host, cluster } = status?.attempt ?? {};
  if (!host || !cluster) return [];
  return [
    { word: 'hosts', name: hostObjectName(cluster, host), namespace: undefined },
    { word: 'clusters', name: cluster, namespace: undefined },
  ];
}

/** What a machine needs is named in its spec; each is shown only if it is what is wrong. */
async function explainNeeds(walk: Walk, object: Explained, depth: number): Promise<void> {
  if (object.kind !== 'VirtualMachine') return;
  const spec = object.spec as {
    image?: { name?: string; namespace?: string };
    networks?: { subnet: string }[];
    volumes?: { volume: string }[];
  };
  const own = object.metadata.namespace;
  const needs = [
    // Of a family there are many: the machine's own words say what is wrong with them.
    ...(spec.image?.name ? [{ word: 'images', name: spec.image.name, namespace: spec.image.namespace ?? own }] : []),
    ...(spec.networks ?? []).map(({ subnet }) => ({ word: 'subnets', name: subnet, namespace: own })),
    ...(spec.volumes ?? []).map(({ volume }) => ({ word: 'volumes', name: volume, namespace: own })),
    ...hostOf(object),
  ];
  for (const { word, name, namespace } of needs) {
    const resource = resolveWord(walk.resources, word)[0]!;
    try {
      const need = await walk.session.request<Explained>('GET', pathOf(resource, namespace, name));
      if (isTroubled(need)) await explain(walk, resource, need, depth + 1);
    } catch (error) {
      if (!isCode(error, 'NotFound')) throw error;
      walk.out.line(
        `${'  '.repeat(depth + 1)}${displayName(resource, name)}: there is no such object${namespace ? ` in namespace ${namespace}` : ''}. Make it, or name another one.`,
      );
    }
  }
}
