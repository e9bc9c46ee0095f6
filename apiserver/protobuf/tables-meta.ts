/** Messages of k8s.io/apimachinery; numbers and types are those of its generated.proto files. */
export const metaMessages = {
  Unknown: 'typeMeta 1 TypeMeta, raw 2 bytes, contentEncoding 3, contentType 4',
  TypeMeta: 'apiVersion 1, kind 2',
  ObjectMeta:
    'name 1, generateName 2, namespace 3, selfLink 4, uid 5, resourceVersion 6, generation 7 int, creationTimestamp 8 Time, deletionTimestamp 9 Time?, deletionGracePeriodSeconds 10 int?, labels 11 map:string, annotations 12 map:string, ownerReferences 13 OwnerReference[], finalizers 14[], managedFields 17 ManagedFieldsEntry[]',
  OwnerReference: 'kind 1!, name 3!, uid 4!, apiVersion 5!, controller 6 bool?, blockOwnerDeletion 7 bool?',
  ManagedFieldsEntry:
    'manager 1, operation 2, apiVersion 3, time 4 Time?, fieldsType 6, fieldsV1 7 Raw?, subresource 8',
  ListMeta: 'selfLink 1, resourceVersion 2, continue 3, remainingItemCount 4 int?',
  LabelSelector: 'matchLabels 1 map:string, matchExpressions 2 LabelSelectorRequirement[]',
  LabelSelectorRequirement: 'key 1!, operator 2!, values 3[]',
  Preconditions: 'uid 1?, resourceVersion 2?',
  DeleteOptions:
    'gracePeriodSeconds 1 int?, preconditions 2 Preconditions?, orphanDependents 3 bool?, propagationPolicy 4?, dryRun 5[], ignoreStoreReadErrorWithClusterBreakingPotential 6 bool?',
  Status: 'metadata 1 ListMeta!, status 2!, message 3!, reason 4!, details 5 StatusDetails?, code 6 int!',
  StatusDetails: 'name 1!, group 2!, kind 3!, causes 4 StatusCause[], retryAfterSeconds 5 int!, uid 6!',
  StatusCause: 'reason 1!, message 2!, field 3!',
};
