/** A machine as placement rules see it, its own and those of others. */
import type { VirtualMachine } from '#lib/api/generated/virtualmachine.ts';
import { labels as known } from '#lib/api/names.ts';
import { type Rules, readRules } from '#lib/api/placement-rules.ts';
import type { Member } from './tallies.ts';

/** Machines of a pool have the same rules, and are looked at again and again. */
const maxRead = 1024;
const read = new Map<string, Rules>();

function rulesOf(placement: VirtualMachine['spec']['placement']): Rules {
  const text = JSON.stringify(placement ?? {});
  const rules = read.get(text) ?? readRules(placement);
  if (read.size >= maxRead) read.delete(read.keys().next().value!);
  read.set(text, rules);
  return rules;
}

export function memberOf({ metadata, spec }: VirtualMachine): Member {
  const { labels = {}, namespace = '', uid } = metadata;
  const owner = [known.factory, known.pool].find((key) => Object.hasOwn(labels, key));
  const group = owner === undefined ? `machine/${uid}` : `${owner}/${labels[owner]}`;
  return { namespace, group, labels, rules: rulesOf(spec.placement) };
}
