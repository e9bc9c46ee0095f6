/** Rules of roles and bindings (kubernetes, pkg/apis/rbac/validation and registry/rbac): what they may say, and who may say it. */

import { at, isObject, type Json, type JsonObject } from '#apiserver/json/json.ts';
import { objectsIn } from '#apiserver/json/members.ts';
import type { ApiObject, StoredObject } from '#apiserver/json/object.ts';
import { escalation } from '#apiserver/rbac/escalation.ts';
import { rbacGroup } from '#apiserver/rbac/rule.ts';
import { forbidden, invalid, notSupported, required } from '#apiserver/schema/causes.ts';
import type { Cause } from '#lib/std/errors.ts';
import { sameJson } from '#lib/std/same-json.ts';
import type { Rules } from './rules.ts';

export const roleRules: Rules = {
  check: (role) => checkRules(role, true),
  admit: escalation.role,
};

export const clusterRoleRules: Rules = {
  check: (role) => [...checkRules(role, false), ...checkAggregation(role)],
  admit: escalation.role,
};

export const roleBindingRules: Rules = {
  defaults: bindingDefaults,
  check: (binding, old) => checkBinding(binding, old, ['ClusterRole', 'Role']),
  admit: escalation.binding,
};

export const clusterRoleBindingRules: Rules = {
  defaults: bindingDefaults,
  check: (binding, old) => checkBinding(binding, old, ['ClusterRole']),
  admit: escalation.binding,
};

function count(rule: JsonObject, field: string): number {
  const value = at(rule, field);
  return Array.isArray(value) ? value.length : 0;
}

function checkRules(role: ApiObject, namespaced: boolean): Cause[] {
  return objectsIn(role, 'rules').flatMap((rule, index) => checkRule(rule, `rules[${index}]`, namespaced));
}

function checkRule(rule: JsonObject, field: string, namespaced: boolean): Cause[] {
  const none = count(rule, 'verbs') === 0 ? [required(`${field}.verbs`, 'verbs must contain at least one value')] : [];
  if (count(rule, 'nonResourceURLs') > 0) return [...none, ...checkUrls(rule, `${field}.nonResourceURLs`, namespaced)];
  return [
    ...none,
    ...(count(rule, 'apiGroups') > 0
      ? []
      : [required(`${field}.apiGroups`, 'resource rules must supply at least one api group')]),
    ...(count(rule, 'resources') > 0
      ? []
      : [required(`${field}.resources`, 'resource rules must supply at least one resource')]),
  ];
}

function checkUrls(rule: JsonObject, field: string, namespaced: boolean): Cause[] {
  const urls = at(rule, 'nonResourceURLs');
  if (namespaced) return [invalid(field, urls, 'namespaced rules cannot apply to non-resource URLs')];
  const mixed = ['apiGroups', 'resources', 'resourceNames'].some((name) => count(rule, name) > 0);
  return mixed ? [invalid(field, urls, 'rules cannot apply to both regular resources and non-resource URLs')] : [];
}

function checkAggregation(role: ApiObject): Cause[] {
  const rule = at(role, 'aggregationRule');
  if (!isObject(rule)) return [];
  const field = 'aggregationRule.clusterRoleSelectors';
  if (count(rule, 'clusterRoleSelectors') === 0)
    return [required(field, 'at least one clusterRoleSelector required if aggregationRule is non-nil')];
  return objectsIn(rule, 'clusterRoleSelectors').flatMap((selector, index) =>
    objectsIn(selector, 'matchExpressions').flatMap((expression, number) =>
      checkExpression(expression, `${field}[${index}].matchExpressions[${number}]`),
    ),
  );
}

const operators = ['In', 'NotIn', 'Exists', 'DoesNotExist'];

function checkExpression(expression: JsonObject, field: string): Cause[] {
  const operator = at(expression, 'operator') ?? '';
  if (!operators.includes(String(operator)))
    return [invalid(`${field}.operator`, operator, 'not a valid selector operator')];
  const listed = operator === 'In' || operator === 'NotIn';
  if (listed === count(expression, 'values') > 0) return [];
  return [
    listed
      ? required(`${field}.values`, "must be specified when `operator` is 'In' or 'NotIn'")
      : forbidden(`${field}.values`, "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"),
  ];
}

/** References to roles, users and groups are of this API group, whether they say so or not. */
function bindingDefaults(binding: ApiObject): ApiObject {
  const roleRef = at(binding, 'roleRef');
  const subjects = at(binding, 'subjects');
  return {
    ...binding,
    ...(isObject(roleRef) ? { roleRef: { ...roleRef, apiGroup: at(roleRef, 'apiGroup') || rbacGroup } } : {}),
    ...(Array.isArray(subjects) ? { subjects: subjects.map(subjectDefaults) } : {}),
  } as ApiObject;
}

function subjectDefaults(subject: Json): Json {
  if (!isObject(subject) || at(subject, 'apiGroup')) return subject;
  const kind = at(subject, 'kind');
  return kind === 'User' || kind === 'Group' ? { ...subject, apiGroup: rbacGroup } : subject;
}

function checkBinding(binding: ApiObject, old: StoredObject | undefined, kinds: readonly string[]): Cause[] {
  const roleRef = at(binding, 'roleRef');
  if (!isObject(roleRef)) return [required('roleRef')];
  const changed = old !== undefined && !sameJson(roleRef, at(old, 'roleRef'));
  return [
    ...checkRoleRef(roleRef, kinds),
    ...objectsIn(binding, 'subjects').flatMap((subject, index) =>
      checkSubject(subject, `subjects[${index}]`, kinds.includes('Role')),
    ),
    ...(changed ? [invalid('roleRef', roleRef, 'cannot change roleRef')] : []),
  ];
}

function checkRoleRef(roleRef: JsonObject, kinds: readonly string[]): Cause[] {
  const { apiGroup = '', kind = '', name = '' } = roleRef;
  return [
    ...(apiGroup === rbacGroup ? [] : [notSupported('roleRef.apiGroup', apiGroup, [rbacGroup])]),
    ...(kinds.includes(String(kind)) ? [] : [notSupported('roleRef.kind', kind, [...kinds])]),
    ...(name === '' ? [required('roleRef.name')] : []),
  ];
}

function checkSubject(subject: JsonObject, field: string, namespaced: boolean): Cause[] {
  const { kind = '', name = '', apiGroup = '', namespace = '' } = subject;
  const named = name === '' ? [required(`${field}.name`)] : [];
  const ofGroup = (group: string) => (apiGroup === group ? [] : [notSupported(`${field}.apiGroup`, apiGroup, [group])]);
  switch (kind) {
    case 'ServiceAccount':
      return [...named, ...ofGroup(''), ...(namespace || namespaced ? [] : [required(`${field}.namespace`)])];
    case 'User':
    case 'Group':
      return [...named, ...ofGroup(rbacGroup)];
    default:
      return [...named, notSupported(`${field}.kind`, kind, ['ServiceAccount', 'User', 'Group'])];
  }
}
