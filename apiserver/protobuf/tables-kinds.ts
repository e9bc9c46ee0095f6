/** Messages of k8s.io/api; numbers and types are those of its generated.proto files. Both groups have an Event of their own. */
const core = {
  Namespace: 'metadata 1 ObjectMeta, spec 2 NamespaceSpec, status 3 NamespaceStatus',
  NamespaceSpec: 'finalizers 1[]',
  NamespaceStatus: 'phase 1, conditions 2 NamespaceCondition[]',
  NamespaceCondition: 'type 1!, status 2!, lastTransitionTime 4 Time, reason 5, message 6',
  ConfigMap: 'metadata 1 ObjectMeta, data 2 map:string, binaryData 3 map:bytes, immutable 4 bool?',
  Secret: 'metadata 1 ObjectMeta, data 2 map:bytes, type 3, stringData 4 map:string, immutable 5 bool?',
  ServiceAccount:
    'metadata 1 ObjectMeta, secrets 2 ObjectReference[], imagePullSecrets 3 LocalObjectReference[], automountServiceAccountToken 4 bool?',
  LocalObjectReference: 'name 1',
  ObjectReference: 'kind 1, namespace 2, name 3, uid 4, apiVersion 5, resourceVersion 6, fieldPath 7',
  Event:
    'metadata 1 ObjectMeta, involvedObject 2 ObjectReference!, reason 3, message 4, source 5 EventSource, firstTimestamp 6 Time, lastTimestamp 7 Time, count 8 int, type 9, eventTime 10 MicroTime, series 11 EventSeries?, action 12, related 13 ObjectReference?, reportingComponent 14, reportingInstance 15',
  EventSource: 'component 1, host 2',
  EventSeries: 'count 1 int, lastObservedTime 2 MicroTime',
};

const events = {
  EventsEvent:
    'metadata 1 ObjectMeta, eventTime 2 MicroTime, series 3 EventSeries?, reportingController 4, reportingInstance 5, action 6, reason 7, regarding 8 ObjectReference, related 9 ObjectReference?, note 10, type 11, deprecatedSource 12 EventSource, deprecatedFirstTimestamp 13 Time, deprecatedLastTimestamp 14 Time, deprecatedCount 15 int',
};

const coordination = {
  Lease: 'metadata 1 ObjectMeta, spec 2 LeaseSpec',
  LeaseSpec:
    'holderIdentity 1?, leaseDurationSeconds 2 int?, acquireTime 3 MicroTime?, renewTime 4 MicroTime?, leaseTransitions 5 int?, strategy 6?, preferredHolder 7?',
};

const authorization = {
  SelfSubjectAccessReview:
    'metadata 1 ObjectMeta, spec 2 SelfSubjectAccessReviewSpec!, status 3 SubjectAccessReviewStatus',
  SelfSubjectAccessReviewSpec:
    'resourceAttributes 1 ResourceAttributes?, nonResourceAttributes 2 NonResourceAttributes?',
  SubjectAccessReview: 'metadata 1 ObjectMeta, spec 2 SubjectAccessReviewSpec!, status 3 SubjectAccessReviewStatus',
  LocalSubjectAccessReview:
    'metadata 1 ObjectMeta, spec 2 SubjectAccessReviewSpec!, status 3 SubjectAccessReviewStatus',
  SubjectAccessReviewSpec:
    'resourceAttributes 1 ResourceAttributes?, nonResourceAttributes 2 NonResourceAttributes?, user 3, groups 4[], extra 5 map:Texts, uid 6',
  SubjectAccessReviewStatus: 'allowed 1 bool, reason 2, evaluationError 3, denied 4 bool',
  ResourceAttributes:
    'namespace 1, verb 2, group 3, version 4, resource 5, subresource 6, name 7, fieldSelector 8 FieldSelectorAttributes?, labelSelector 9 LabelSelectorAttributes?',
  FieldSelectorAttributes: 'rawSelector 1, requirements 2 LabelSelectorRequirement[]',
  LabelSelectorAttributes: 'rawSelector 1, requirements 2 LabelSelectorRequirement[]',
  NonResourceAttributes: 'path 1, verb 2',
  SelfSubjectRulesReview:
    'metadata 1 ObjectMeta, spec 2 SelfSubjectRulesReviewSpec!, status 3 SubjectRulesReviewStatus',
  SelfSubjectRulesReviewSpec: 'namespace 1',
  SubjectRulesReviewStatus:
    'resourceRules 1 ResourceRule[], nonResourceRules 2 NonResourceRule[], incomplete 3 bool, evaluationError 4',
  ResourceRule: 'verbs 1[], apiGroups 2[], resources 3[], resourceNames 4[]',
  NonResourceRule: 'verbs 1[], nonResourceURLs 2[]',
};

const authentication = {
  SelfSubjectReview: 'metadata 1 ObjectMeta, status 2 SelfSubjectReviewStatus',
  SelfSubjectReviewStatus: 'userInfo 1 UserInfo',
  UserInfo: 'username 1, uid 2, groups 3[], extra 4 map:Texts',
  TokenReview: 'metadata 1 ObjectMeta, spec 2 TokenReviewSpec!, status 3 TokenReviewStatus',
  TokenReviewSpec: 'token 1, audiences 2[]',
  TokenReviewStatus: 'authenticated 1 bool, user 2 UserInfo, error 3, audiences 4[]',
  TokenRequest: 'metadata 1 ObjectMeta, spec 2 TokenRequestSpec!, status 3 TokenRequestStatus',
  TokenRequestSpec: 'audiences 1[], boundObjectRef 3 BoundObjectReference?, expirationSeconds 4 int?',
  BoundObjectReference: 'kind 1, apiVersion 2, name 3, uid 4',
  TokenRequestStatus: 'token 1, expirationTimestamp 2 Time',
};

const rbac = {
  Role: 'metadata 1 ObjectMeta, rules 2 PolicyRule[]',
  ClusterRole: 'metadata 1 ObjectMeta, rules 2 PolicyRule[], aggregationRule 3 AggregationRule?',
  AggregationRule: 'clusterRoleSelectors 1 LabelSelector[]',
  PolicyRule: 'verbs 1[], apiGroups 2[], resources 3[], resourceNames 4[], nonResourceURLs 5[]',
  RoleBinding: 'metadata 1 ObjectMeta, subjects 2 Subject[], roleRef 3 RoleRef!',
  ClusterRoleBinding: 'metadata 1 ObjectMeta, subjects 2 Subject[], roleRef 3 RoleRef!',
  RoleRef: 'apiGroup 1!, kind 2!, name 3!',
  Subject: 'kind 1!, apiGroup 2, name 3!, namespace 4',
};

const autoscaling = {
  Scale: 'metadata 1 ObjectMeta, spec 2 ScaleSpec, status 3 ScaleStatus',
  ScaleSpec: 'replicas 1 int',
  ScaleStatus: 'replicas 1 int, selector 2',
};

export const kindMessages = {
  ...core,
  ...events,
  ...coordination,
  ...authorization,
  ...authentication,
  ...rbac,
  ...autoscaling,
};
