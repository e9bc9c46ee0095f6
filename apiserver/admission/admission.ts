/**
 * What a schema cannot say: per kind, defaults that depend on the object, rules between fields and between old and new, and objects
 * that may not be deleted by name. Rules are pure and see one object at a time; they hold for every part that is written.
 */
import type { ApiObject, StoredObject } from '#apiserver/json/object.ts';
import { qualifiedKind, type Resource } from '#apiserver/resources/resource.ts';
import type { Cause } from '#lib/std/errors.ts';
import { configMapRules, namespaceRules, secretRules } from './builtin.ts';
import { computeFactoryRules } from './compute-factory.ts';
import { clusterRules, imageRules, subnetRules } from './infrastructure.ts';
import { instanceTypeRules, virtualMachineRules, vmOperationRules, vmPoolRules } from './machine.ts';
import type { Rules } from './rules.ts';

/** By `Kind.group`, or `Kind` in the core group. */
const rules: Readonly<Record<string, Rules>> = {
  Namespace: namespaceRules,
  Secret: secretRules,
  ConfigMap: configMapRules,
  'Cluster.computefactory.io': clusterRules,
  'ComputeFactory.computefactory.io': computeFactoryRules,
  'Image.computefactory.io': imageRules,
  'InstanceType.computefactory.io': instanceTypeRules,
  'Subnet.computefactory.io': subnetRules,
  'VirtualMachine.computefactory.io': virtualMachineRules,
  'VMOperation.computefactory.io': vmOperationRules,
  'VMPool.computefactory.io': vmPoolRules,
};

function rulesOf(resource: Resource): Rules {
  const name = qualifiedKind(resource);
  return (Object.hasOwn(rules, name) ? rules[name] : undefined) ?? {};
}

export function admissionDefaults(object: ApiObject, old: StoredObject | undefined, resource: Resource): ApiObject {
  return rulesOf(resource).defaults?.(object, old) ?? object;
}

export function admissionCauses(
  object: ApiObject,
  old: StoredObject | undefined,
  resource: Resource,
): readonly Cause[] {
  return rulesOf(resource).check?.(object, old) ?? [];
}

export function refuseDelete(object: StoredObject, resource: Resource): string | undefined {
  return rulesOf(resource).refuseDelete?.(object);
}
