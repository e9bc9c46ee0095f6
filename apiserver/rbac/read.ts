/** Roles and bindings as they are stored, read with care: another tool may have written them straight into the store. */
import { at, isObject, type JsonObject } from '#apiserver/json/json.ts';
import { objectsIn, textIn, textsIn } from '#apiserver/json/members.ts';
import type { ApiObject } from '#apiserver/json/object.ts';
import type { PolicyRule, RoleRef, Subject } from './rule.ts';

export function rulesIn(role: ApiObject): PolicyRule[] {
  return objectsIn(role, 'rules').map((rule) => ({
    verbs: textsIn(rule, 'verbs'),
    ...listed(rule, 'apiGroups'),
    ...listed(rule, 'resources'),
    ...listed(rule, 'resourceNames'),
    ...listed(rule, 'nonResourceURLs'),
  }));
}

export function subjectsIn(binding: ApiObject): Subject[] {
  return objectsIn(binding, 'subjects').map((subject) => {
    const namespace = textIn(subject, 'namespace');
    const apiGroup = textIn(subject, 'apiGroup');
    return {
      kind: textIn(subject, 'kind'),
      name: textIn(subject, 'name'),
      ...(apiGroup === '' ? {} : { apiGroup }),
      ...(namespace === '' ? {} : { namespace }),
    };
  });
}

export function roleRefIn(binding: ApiObject): RoleRef {
  const roleRef = at(binding, 'roleRef');
  const from = isObject(roleRef) ? roleRef : {};
  return { apiGroup: textIn(from, 'apiGroup'), kind: textIn(from, 'kind'), name: textIn(from, 'name') };
}

function listed<K extends string>(rule: JsonObject, field: K): { readonly [P in K]?: string[] } {
  const texts = textsIn(rule, field);
  return (texts.length === 0 ? {} : { [field]: texts }) as { readonly [P in K]?: string[] };
}
