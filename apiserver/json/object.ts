import type { JsonObject } from './json.ts';

/** metav1.ObjectMeta, once metadata has been through coerceMetadata: known fields only, of the right types. */
export type Metadata = {
  name?: string;
  generateName?: string;
  namespace?: string;
  uid?: string;
  resourceVersion?: string;
  generation?: number;
  creationTimestamp?: string;
  deletionTimestamp?: string;
  deletionGracePeriodSeconds?: number;
  labels?: { [key: string]: string };
  annotations?: { [key: string]: string };
  finalizers?: string[];
  ownerReferences?: OwnerReference[];
  managedFields?: ManagedFieldsEntry[];
};

/** metav1.ManagedFieldsEntry: what one manager owns. A client may send any part of it. */
export type ManagedFieldsEntry = {
  manager?: string;
  operation?: string;
  apiVersion?: string;
  time?: string;
  fieldsType?: string;
  fieldsV1?: JsonObject;
  subresource?: string;
};

export type OwnerReference = {
  apiVersion: string;
  kind: string;
  name: string;
  uid: string;
  controller?: boolean;
  blockOwnerDeletion?: boolean;
};

/** An object of any kind. What is outside metadata is as its schema says. */
export type ApiObject = JsonObject & { apiVersion: string; kind: string; metadata: Metadata };

/** An object that has been stored: the server has filled in who it is. */
export type StoredObject = ApiObject & {
  metadata: Metadata & { name: string; uid: string; resourceVersion: string; creationTimestamp: string };
};

export function isDeleting(object: ApiObject): boolean {
  return object.metadata.deletionTimestamp !== undefined;
}
