/**
 * What a schema cannot say: per kind, defaults that depend on the object, rules between fields, between old and new and between objects,
 * and objects that may not be deleted. They hold for every part that is written.
 */

import { restrictClusterServer } from '#apiserver/cluster-server/admit.ts';
import { clusterServerOf } from '#apiserver/cluster-server/identity.ts';
import { definitionRules } from '#apiserver/definitions/rules.ts';
import type { Call } from '#apiserver/http/call.ts';
import type { ApiObject, StoredObject } from '#apiserver/json/object.ts';
import { qualifiedKind, type Resource } from '#apiserver/resources/resource.ts';
import type { Change } from '#apiserver/storage/objects.ts';
import type { ServerContext } from '#apiserver/verbs/server-context.ts';
import type { Cause } from '#lib/std/errors.ts';
import { ipLeaseRules, subnetRules } from './addresses.ts';
import { computeFactoryRules } from './compute-factory.ts';
import { configMapRules } from './config-map.ts';
import { coreEventRules, eventRules } from './event.ts';
import { clusterRules, hostRules, imageRules } from './infrastructure.ts';
import { leaseRules } from './lease.ts';
import { instanceTypeRules, virtualMachineRules, vmOperationRules, vmPoolRules } from './machine.ts';
import { namespaceRules } from './namespace.ts';
import { clusterRoleBindingRules, clusterRoleRules, roleBindingRules, roleRules } from './rbac.ts';
import type { AdmissionRequest, Rules } from './rules.ts';
import { secretRules } from './secret.ts';
import { vmRestoreRules, vmSnapshotRules } from './snapshot.ts';
import { volumeRules } from './volume.ts';

/** By `Kind.group`, or `Kind` in the core group. */
const rules: Readonly<Record<string, Rules>> = {
  Namespace: namespaceRules,
  Secret: secretRules,
  ConfigMap: configMapRules,
  Event: coreEventRules,
  'Event.events.k8s.io': eventRules,
  'Lease.coordination.k8s.io': leaseRules,
  'Cluster.computefactory.io': clusterRules,
  'ComputeFactory.computefactory.io': computeFactoryRules,
  'Host.computefactory.io': hostRules,
  'Image.computefactory.io': imageRules,
  'InstanceType.computefactory.io': instanceTypeRules,
  'IPLease.computefactory.io': ipLeaseRules,
  'Subnet.computefactory.io': subnetRules,
  'VirtualMachine.computefactory.io': virtualMachineRules,
  'VMOperation.computefactory.io': vmOperationRules,
  'VMPool.computefactory.io': vmPoolRules,
  'VMRestore.computefactory.io': vmRestoreRules,
  'VMSnapshot.computefactory.io': vmSnapshotRules,
  'Volume.computefactory.io': volumeRules,
  'CustomResourceDefinition.apiextensions.k8s.io': definitionRules,
  'Role.rbac.authorization.k8s.io': roleRules,
  'ClusterRole.rbac.authorization.k8s.io': clusterRoleRules,
  'RoleBinding.rbac.authorization.k8s.io': roleBindingRules,
  'ClusterRoleBinding.rbac.authorization.k8s.io': clusterRoleBindingRules,
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
  const { check } = rulesOf(resource);
  const causes = check?.(object, old) ?? [];
  if (!old || causes.length === 0) return causes;
  // Kubernetes' ratcheting: a rule that came later does not hold up what it would refuse today, least of all its deletion.
  const before = new Set(check!(old, old).map(({ field, message }) => `${field}: ${message}`));
  return causes.filter(({ field, message }) => !before.has(`${field}: ${message}`));
}

/** Asks the rules that look beyond the object, at who asks first; undefined if its kind has none, which costs nothing. */
export function admit(
  object: ApiObject,
  old: StoredObject | undefined,
  request: AdmissionRequest,
): Promise<void> | undefined {
  const { admit: rule } = rulesOf(request.resource);
  const server = clusterServerOf(request.user);
  if (!server) return rule?.(object, old, request);
  return restrictClusterServer(object, old, server.cluster, request).then(() => rule?.(object, old, request));
}

/** The change, once those rules allow it. What goes away is not asked about. */
export function admitted(change: Change, old: StoredObject, request: AdmissionRequest): Change | Promise<Change> {
  const asked = change.type === 'write' ? admit(change.object, old, request) : undefined;
  return asked === undefined ? change : asked.then(() => change);
}

/** The part of the request that is known before the object is read. */
export function admissionRequest(
  context: ServerContext,
  { user, resource, path, warn }: Call,
  part: AdmissionRequest['part'],
  dryRun: boolean,
): AdmissionRequest {
  return { context, user, resource, warn, namespace: path.namespace, part, dryRun };
}

export function refuseDelete(object: StoredObject, resource: Resource): string | undefined {
  return rulesOf(resource).refuseDelete?.(object);
}

export function admissionDelete(object: StoredObject, resource: Resource, now: string): StoredObject {
  return rulesOf(resource).beginDelete?.(object, now) ?? object;
}
