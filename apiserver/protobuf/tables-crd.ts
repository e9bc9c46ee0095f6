/** Messages of k8s.io/apiextensions-apiserver; numbers and types are those of its generated.proto. */
export const crdMessages = {
  CustomResourceDefinition:
    'metadata 1 ObjectMeta, spec 2 CustomResourceDefinitionSpec!, status 3 CustomResourceDefinitionStatus',
  CustomResourceDefinitionSpec:
    'group 1!, names 3 CustomResourceDefinitionNames!, scope 4!, versions 7 CustomResourceDefinitionVersion[], conversion 9 CustomResourceConversion?, preserveUnknownFields 10 bool',
  CustomResourceDefinitionNames: 'plural 1!, singular 2, shortNames 3[], kind 4!, listKind 5, categories 6[]',
  CustomResourceDefinitionVersion:
    'name 1!, served 2 bool!, storage 3 bool!, schema 4 CustomResourceValidation?, subresources 5 CustomResourceSubresources?, additionalPrinterColumns 6 CustomResourceColumnDefinition[], deprecated 7 bool, deprecationWarning 8?, selectableFields 9 SelectableField[]',
  CustomResourceValidation: 'openAPIV3Schema 1 JSONSchemaProps?',
  CustomResourceSubresources: 'status 1 CustomResourceSubresourceStatus?, scale 2 CustomResourceSubresourceScale?',
  CustomResourceSubresourceStatus: '',
  CustomResourceSubresourceScale: 'specReplicasPath 1!, statusReplicasPath 2!, labelSelectorPath 3?',
  CustomResourceColumnDefinition: 'name 1!, type 2!, format 3, description 4, priority 5 int, jsonPath 6!',
  SelectableField: 'jsonPath 1!',
  CustomResourceConversion: 'strategy 1!, webhook 2 WebhookConversion?',
  WebhookConversion: 'clientConfig 2 WebhookClientConfig?, conversionReviewVersions 3[]',
  WebhookClientConfig: 'service 1 ServiceReference?, caBundle 2 bytes, url 3?',
  ServiceReference: 'namespace 1!, name 2!, path 3?, port 4 int?',
  CustomResourceDefinitionStatus:
    'conditions 1 CustomResourceDefinitionCondition[], acceptedNames 2 CustomResourceDefinitionNames?, storedVersions 3[]',
  CustomResourceDefinitionCondition: 'type 1!, status 2!, lastTransitionTime 3 Time, reason 4, message 5',
  JSONSchemaProps:
    'id 1, $schema 2, $ref 3?, description 4, type 5, format 6, title 7, default 8 Raw?, maximum 9 double?, exclusiveMaximum 10 bool, minimum 11 double?, exclusiveMinimum 12 bool, maxLength 13 int?, minLength 14 int?, pattern 15, maxItems 16 int?, minItems 17 int?, uniqueItems 18 bool, multipleOf 19 double?, enum 20 Raw[], maxProperties 21 int?, minProperties 22 int?, required 23[], items 24 SchemaOrArray?, allOf 25 JSONSchemaProps[], oneOf 26 JSONSchemaProps[], anyOf 27 JSONSchemaProps[], not 28 JSONSchemaProps?, properties 29 map:JSONSchemaProps, additionalProperties 30 SchemaOrBool?, patternProperties 31 map:JSONSchemaProps, dependencies 32 map:SchemaOrTexts, additionalItems 33 SchemaOrBool?, definitions 34 map:JSONSchemaProps, externalDocs 35 ExternalDocumentation?, example 36 Raw?, nullable 37 bool, x-kubernetes-preserve-unknown-fields 38 bool?, x-kubernetes-embedded-resource 39 bool, x-kubernetes-int-or-string 40 bool, x-kubernetes-list-map-keys 41[], x-kubernetes-list-type 42?, x-kubernetes-map-type 43?, x-kubernetes-validations 44 ValidationRule[]',
  ExternalDocumentation: 'description 1, url 2',
  ValidationRule: 'rule 1!, message 2, messageExpression 3, reason 4?, fieldPath 5, optionalOldSelf 6 bool?',
};
