/** Which requests are written down, and how much of each: audit.k8s.io/v1 Policy, whose first rule that matches decides. */
import type { User } from '#apiserver/auth/user.ts';
import type { RequestInfo } from '#apiserver/http/request-info.ts';
import { at, isObject, type Json, type JsonObject } from '#apiserver/json/json.ts';
import { parseYaml } from '#apiserver/json/yaml.ts';

export const levels = ['None', 'Metadata', 'Request', 'RequestResponse'] as const;
export const stages = ['RequestReceived', 'ResponseStarted', 'ResponseComplete', 'Panic'] as const;
export type Level = (typeof levels)[number];
export type Stage = (typeof stages)[number];

interface ResourceRule {
  readonly group: string;
  /** All of the group if empty. `pods/log`, `pods/*`, `*\/status` and `*` are understood. */
  readonly resources: readonly string[];
  readonly resourceNames: readonly string[];
}

/** A list that is empty does not restrict. */
interface Rule {
  readonly level: Level;
  readonly users: readonly string[];
  readonly userGroups: readonly string[];
  readonly verbs: readonly string[];
  readonly namespaces: readonly string[];
  readonly resources: readonly ResourceRule[];
  readonly nonResourceURLs: readonly string[];
  readonly omitStages: readonly Stage[];
}

export interface AuditPolicy {
  readonly rules: readonly Rule[];
  readonly omitStages: readonly Stage[];
}

export interface Decision {
  readonly level: Level;
  readonly omits: (stage: Stage) => boolean;
}

/** Everything but probes, without what was sent and answered. */
export const defaultPolicy: AuditPolicy = {
  omitStages: ['RequestReceived'],
  rules: [
    rule({ level: 'None', nonResourceURLs: ['/livez*', '/readyz*', '/healthz*', '/metrics'] }),
    rule({ level: 'Metadata' }),
  ],
};

function rule(given: Partial<Rule> & { readonly level: Level }): Rule {
  const open = { users: [], userGroups: [], verbs: [], namespaces: [], resources: [], nonResourceURLs: [] };
  return { ...open, omitStages: [], ...given };
}

/** What is secret by its kind: whatever the policy says, none of it is written down. */
const secret = new Set(['/secrets', '/serviceaccounts/token', 'authentication.k8s.io/tokenreviews']);

export function decide(policy: AuditPolicy, info: RequestInfo, user: User): Decision {
  const matching = policy.rules.find((candidate) => matches(candidate, info, user));
  const omitted = new Set([...policy.omitStages, ...(matching?.omitStages ?? [])]);
  return { level: clamp(matching?.level ?? 'None', info), omits: (stage) => omitted.has(stage) };
}

function clamp(level: Level, { path }: RequestInfo): Level {
  if (path.type !== 'resource' || level === 'None') return level;
  const { group, plural, subresource } = path;
  return secret.has(`${group}/${plural}`) || secret.has(`${group}/${plural}/${subresource}`) ? 'Metadata' : level;
}

function matches(candidate: Rule, info: RequestInfo, user: User): boolean {
  const { users, userGroups, verbs } = candidate;
  if (users.length > 0 && !users.includes(user.name)) return false;
  if (userGroups.length > 0 && !userGroups.some((group) => user.groups.includes(group))) return false;
  if (verbs.length > 0 && !verbs.includes(info.verb)) return false;
  const { resources, namespaces, nonResourceURLs } = candidate;
  if (resources.length > 0 || namespaces.length > 0) return matchesResource(candidate, info);
  return nonResourceURLs.length === 0 || (info.path.type === 'other' && nonResourceURLs.some(covers(info.pathname)));
}

function covers(path: string): (pattern: string) => boolean {
  return (pattern) => (pattern.endsWith('*') ? path.startsWith(pattern.slice(0, -1)) : path === pattern);
}

function matchesResource({ resources, namespaces }: Rule, { path }: RequestInfo): boolean {
  if (path.type !== 'resource') return false;
  const { group, plural, subresource, name, namespace = '' } = path;
  if (namespaces.length > 0 && !namespaces.includes(namespace)) return false;
  const words = [plural, '*', ...(subresource ? [`${plural}/${subresource}`, `${plural}/*`, `*/${subresource}`] : [])];
  // A bare name means the resource itself, not what is below it.
  const named = subresource ? words.slice(1) : words;
  return (
    resources.length === 0 ||
    resources.some(
      (entry) =>
        entry.group === group &&
        (entry.resources.length === 0 || entry.resources.some((word) => named.includes(word))) &&
        (entry.resourceNames.length === 0 || entry.resourceNames.includes(name ?? '')),
    )
  );
}

/** Throws for text that is no policy, saying where: a rule that was not understood would leave out what somebody wants to see. */
export function readPolicy(yaml: string): AuditPolicy {
  const value = parseYaml(yaml, 'the audit policy').value;
  const policy = fieldsOf(value, 'the audit policy', [
    'apiVersion',
    'kind',
    'metadata',
    'rules',
    'omitStages',
    'omitManagedFields',
  ]);
  if (at(policy, 'apiVersion') !== 'audit.k8s.io/v1' || at(policy, 'kind') !== 'Policy')
    throw new RangeError('Cannot read the audit policy: it must be of apiVersion audit.k8s.io/v1, kind Policy');
  const rules = at(policy, 'rules');
  if (!Array.isArray(rules) || rules.length === 0)
    throw new RangeError('Cannot read the audit policy: it has no rules');
  return { rules: rules.map(readRule), omitStages: wordsOf(policy, 'omitStages', 'the audit policy', stages) };
}

const ruleFields = [
  'level',
  'users',
  'userGroups',
  'verbs',
  'namespaces',
  'resources',
  'nonResourceURLs',
  'omitStages',
  'omitManagedFields',
];

function readRule(value: Json, index: number): Rule {
  const where = `rules[${index}]`;
  const fields = fieldsOf(value, where, ruleFields);
  const level = levels.find((known) => known === at(fields, 'level'));
  if (!level) throw new RangeError(`Cannot read ${where}: level must be one of ${levels.join(', ')}`);
  const resources = at(fields, 'resources') ?? [];
  if (!Array.isArray(resources)) throw new RangeError(`Cannot read ${where}: resources must be a list`);
  const words = (name: string) => wordsOf(fields, name, where);
  return {
    level,
    users: words('users'),
    userGroups: words('userGroups'),
    verbs: words('verbs'),
    namespaces: words('namespaces'),
    nonResourceURLs: words('nonResourceURLs'),
    omitStages: wordsOf(fields, 'omitStages', where, stages),
    resources: resources.map((entry, at) => readResource(entry, `${where}.resources[${at}]`)),
  };
}

function readResource(value: Json, where: string): ResourceRule {
  const fields = fieldsOf(value, where, ['group', 'resources', 'resourceNames']);
  const group = at(fields, 'group') ?? '';
  if (typeof group !== 'string') throw new RangeError(`Cannot read ${where}: group must be text`);
  return {
    group,
    resources: wordsOf(fields, 'resources', where),
    resourceNames: wordsOf(fields, 'resourceNames', where),
  };
}

function fieldsOf(value: Json, where: string, known: readonly string[]): JsonObject {
  if (!isObject(value)) throw new RangeError(`Cannot read ${where}: it is not an object`);
  const odd = Object.keys(value).find((name) => !known.includes(name));
  if (odd !== undefined) throw new RangeError(`Cannot read ${where}: unknown field "${odd}"`);
  return value;
}

function wordsOf<T extends string>(fields: JsonObject, name: string, where: string, known?: readonly T[]): T[] {
  const list = at(fields, name) ?? [];
  const isWord = (word: Json): word is T => typeof word === 'string' && (!known || known.includes(word as T));
  if (Array.isArray(list) && list.every(isWord)) return list;
  throw new RangeError(`Cannot read ${where}: ${name} must be a list of ${known ? known.join(', ') : 'texts'}`);
}
