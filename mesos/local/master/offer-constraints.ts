/** offer_constraints: of which agents a framework wants offers for a role (src/master/allocator/mesos/offer_constraints_filter.cpp). */
import { compilePattern } from '#lib/std/pattern.ts';
import type { AttributeConstraint, AttributePredicate, OfferConstraints } from '#mesos/types.ts';
import type { Agent } from './state.ts';

/** Whether the framework wants offers of an agent. */
export type Wants = (agent: Agent) => boolean;

/** By role; a role without constraints is not in it. Throws, in words for the framework, for constraints that cannot be understood. */
export function constraintsOf({ role_constraints: roles = {} }: OfferConstraints): ReadonlyMap<string, Wants> {
  return new Map(
    Object.entries(roles).map(([role, { groups = [] }]) => {
      if (groups.length === 0) throw new Error(`Empty 'RoleConstraints' for role '${role}' is invalid`);
      const any = groups.map(({ attribute_constraints: all = [] }): Wants => {
        if (all.length === 0) throw new Error('AttributeConstraint group is empty');
        const tests = all.map(testOf);
        return (agent) => tests.every((test) => test(agent));
      });
      return [role, (agent: Agent) => any.some((group) => group(agent))];
    }),
  );
}

function testOf({ selector, predicate }: AttributeConstraint): Wants {
  const select = selectorOf(selector);
  const test = predicateOf(predicate);
  return (agent) => test(select(agent));
}

/** The texts of an attribute: undefined for one of another kind, none for one that is not there. */
type Values = readonly (string | undefined)[];

function selectorOf({
  attribute_name: name,
  pseudoattribute_type: pseudo,
}: AttributeConstraint['selector']): (agent: Agent) => Values {
  if (name !== undefined)
    return ({ info }) => (info.attributes ?? []).filter((one) => one.name === name).map((one) => one.text?.value);
  if (pseudo === 'HOSTNAME') return ({ info }) => [info.hostname];
  // Agents of a local Mesos are in no region and no zone.
  if (pseudo === 'REGION' || pseudo === 'ZONE') return () => [];
  throw new Error('Unknown selector type');
}

/** As in Mesos, a text predicate on something that is no text holds where its negation does too: the agent is offered. */
function predicateOf(predicate: AttributePredicate): (values: Values) => boolean {
  if (predicate.exists) return (values) => values.length > 0;
  if (predicate.not_exists) return (values) => values.length === 0;
  const { text_equals, text_not_equals, text_matches, text_not_matches } = predicate;
  if (text_equals) return (values) => values.some((text) => text === undefined || text === text_equals.value);
  if (text_not_equals) return (values) => values.every((text) => text === undefined || text !== text_not_equals.value);
  if (text_matches) {
    const pattern = whole(text_matches.regex);
    return (values) => values.some((text) => text === undefined || pattern.test(text));
  }
  if (text_not_matches) {
    const pattern = whole(text_not_matches.regex);
    return (values) => values.every((text) => text === undefined || !pattern.test(text));
  }
  throw new Error('Unknown predicate type');
}

/** RE2's FullMatch. */
function whole(regex: string) {
  try {
    return compilePattern(`^(?:${regex})$`);
  } catch (error) {
    throw new Error(`Failed to construct regex from pattern '${regex}': ${(error as Error).message}`);
  }
}
