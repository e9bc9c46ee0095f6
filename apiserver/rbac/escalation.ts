/** Nobody gives away more than they have (kubernetes, pkg/registry/rbac): asked of every write of a role or binding. */
import type { AdmissionRequest, Rules } from '#apiserver/admission/rules.ts';
import { mastersGroup } from '#apiserver/auth/user.ts';
import { forbiddenObject, notFound } from '#apiserver/http/status.ts';
import { at } from '#apiserver/json/json.ts';
import type { ApiObject, StoredObject } from '#apiserver/json/object.ts';
import { sameJson } from '#lib/std/same-json.ts';
import { describeRights, missingRights, quoted } from './covers.ts';
import { roleRefIn, rulesIn } from './read.ts';
import { fullAuthority, type PolicyRule, type RoleRef, rbacGroup } from './rule.ts';

type Admit = NonNullable<Rules['admit']>;

const role: Admit = async (object, old, request) => {
  if (isExempt(object, old, request) || mayEscalate(object, old, request)) return;
  const refuse = (why: string) => forbiddenObject(request.resource, nameOf(object), why);
  const refusal = whyNotGranted(rulesIn(object), request);
  if (refusal) throw refuse(refusal);
  // An aggregated role can gather anything, also what nobody has written yet, and keep others from taking it away.
  const aggregates = [object, ...(old ? [old] : [])].some((one) => at(one, 'aggregationRule') !== undefined);
  if (aggregates && whyNotGranted(fullAuthority, request))
    throw refuse('must have cluster-admin privileges to use the aggregationRule');
};

const binding: Admit = async (object, old, request) => {
  if (isExempt(object, old, request)) return;
  const roleRef = roleRefIn(object);
  if (mayBind(roleRef, request)) return;
  const rules = request.context.access.policy.rulesOf(roleRef, request.namespace ?? '');
  if (!rules) throw notFound({ group: rbacGroup, plural: pluralOf(roleRef) }, roleRef.name);
  const refusal = whyNotGranted(rules, request);
  if (refusal) throw forbiddenObject(request.resource, nameOf(object), refusal);
};

export const escalation = { role, binding };

function nameOf({ metadata }: ApiObject): string {
  return metadata.name ?? '';
}

function isExempt(object: ApiObject, old: StoredObject | undefined, { user }: AdmissionRequest): boolean {
  return user.groups.includes(mastersGroup) || (old !== undefined && onlyForCollection(object, old));
}

/** Owners and finalizers may be taken off by who could not write the role: the garbage collector must be able to. */
function onlyForCollection(object: ApiObject, old: StoredObject): boolean {
  const rest = ({ metadata, ...body }: ApiObject) => {
    const {
      finalizers: _,
      ownerReferences: __,
      managedFields: ___,
      resourceVersion: ____,
      ...kept
    } = metadata as Record<string, never>;
    return { ...body, metadata: kept };
  };
  return sameJson(rest(object), rest(old));
}

function mayEscalate(object: ApiObject, old: StoredObject | undefined, request: AdmissionRequest): boolean {
  const { context, user, resource, namespace } = request;
  const attributes = {
    verb: 'escalate',
    group: rbacGroup,
    resource: resource.plural,
    ...(namespace === undefined ? {} : { namespace }),
    // What is being created has no name yet, as far as rights go.
    ...(old ? { name: nameOf(object) } : {}),
  };
  return context.access.authorizer(user, attributes).verdict === 'allow';
}

function mayBind(roleRef: RoleRef, { context, user, namespace }: AdmissionRequest): boolean {
  const attributes = {
    verb: 'bind',
    group: rbacGroup,
    resource: pluralOf(roleRef),
    name: roleRef.name,
    ...(namespace === undefined ? {} : { namespace }),
  };
  return context.access.authorizer(user, attributes).verdict === 'allow';
}

function pluralOf({ kind }: RoleRef): string {
  return kind === 'Role' ? 'roles' : 'clusterroles';
}

function whyNotGranted(
  wanted: readonly PolicyRule[],
  { context, user, namespace }: AdmissionRequest,
): string | undefined {
  const { rules, problems } = context.access.policy.resolve(user, namespace);
  const missing = missingRights(rules, wanted);
  if (missing.length === 0) return undefined;
  const unresolved = problems.length === 0 ? '' : `; resolution errors: [${problems.join(', ')}]`;
  return `user "${user.name}" (groups=${quoted(user.groups)}) is attempting to grant RBAC permissions not currently held:\n${describeRights(missing).join('\n')}${unresolved}`;
}
