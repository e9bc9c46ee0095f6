/** cordon, uncordon: whether new machines may start on a host. What runs there goes on. */
import { UsageError } from '#lib/std/main.ts';
import {
  type ApiResource,
  discover,
  displayName,
  pathOf,
  resolveTargets,
  resolveWord,
  type Target,
} from '../resources.ts';
import { connect } from '../session.ts';
import { connectionFlags, connectionHelp, exit, parseFlags, type Verb } from '../verb.ts';

/** Hosts may be named without their kind. */
export function hostTargets(
  resources: readonly ApiResource[],
  words: readonly string[],
  verb: string,
): readonly Target[] {
  const resource = resolveWord(resources, 'hosts')[0]!;
  const [first = ''] = words;
  const isKind = [resource.singular, resource.plural, ...resource.shortNames].includes(first.toLowerCase());
  const named = isKind || first.includes('/') || words.length === 0 ? words : [resource.singular, ...words];
  const targets = resolveTargets(resources, named, verb);
  if (targets.some((target) => target.resource.kind !== resource.kind))
    throw new UsageError(`Only hosts can be named here: factoryctl ${verb} HOST. See "factoryctl ${verb} --help".`);
  return targets;
}

function patching(name: string, summary: string, past: string, spec: object, more: string): Verb {
  return {
    name,
    summary,
    help: `Usage: factoryctl ${name} HOST… [flags]

Examples:
  factoryctl ${name} local-host-0

Flags:
${connectionHelp}

${more}`,
    async run(args, out) {
      const { values, positionals } = parseFlags(name, args, connectionFlags);
      const session = connect(values);
      for (const target of hostTargets(await discover(session), positionals, name)) {
        const path = pathOf(target.resource, undefined, target.name);
        await session.request('PATCH', path, { body: { spec }, contentType: 'application/merge-patch+json' });
        out.line(`${displayName(target.resource, target.name)} ${past}`);
      }
      return exit.ok;
    },
  };
}

export const cordon = patching(
  'cordon',
  'Let no new machines start on a host',
  'cordoned',
  { unschedulable: true },
  'What runs there goes on. "factoryctl uncordon HOST" takes it back; "factoryctl drain HOST" empties the host.',
);

export const uncordon = patching(
  'uncordon',
  'Let machines start on a host again, and end its drain',
  'uncordoned',
  { unschedulable: false, drain: null },
  'Ends a drain as well. Machines that have left do not come back by themselves.',
);
