/** The rules of metadata, which hold for every kind (apimachinery, pkg/api/validation/objectmeta.go). */
import type { ApiObject, Metadata } from '#apiserver/json/object.ts';
import { hasSegmentName } from '#apiserver/rbac/kinds.ts';
import type { Resource } from '#apiserver/resources/resource.ts';
import { forbidden, invalid, required, tooLong, tooMany } from '#apiserver/schema/causes.ts';
import type { Cause } from '#lib/std/errors.ts';

const subdomain = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;
const label = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/;
const qualifiedPart = /^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$/;

const subdomainRule =
  "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const labelRule =
  "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const keyRule =
  "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character";
const valueRule =
  "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character";

const maxAnnotationBytes = 256 * 1024;

/** Nobody needs as many, and each is looked at with every write. */
const maxEntries = 4_000;

export function checkMetadata(object: ApiObject, resource: Resource): Cause[] {
  const { metadata } = object;
  const excess = checkCounts(metadata);
  if (excess.length > 0) return excess;
  return [
    ...checkName(metadata, resource),
    ...checkLabels(metadata),
    ...checkAnnotations(metadata),
    ...checkFinalizers(metadata),
    ...checkOwners(metadata),
  ];
}

function checkCounts({ labels = {}, annotations = {}, finalizers = [], ownerReferences = [] }: Metadata): Cause[] {
  const lists = { labels: Object.keys(labels), annotations: Object.keys(annotations), finalizers, ownerReferences };
  return Object.entries(lists)
    .filter(([, list]) => list.length > maxEntries)
    .map(([name, list]) => tooMany(`metadata.${name}`, list.length, maxEntries));
}

function checkName(metadata: Metadata, resource: Resource): Cause[] {
  const { name } = metadata;
  if (!name) return [required('metadata.name', 'name or generateName is required')];
  const isNamespace = resource.group === '' && resource.plural === 'namespaces';
  const max = isNamespace ? 63 : 253;
  if (name.length > max) return [invalid('metadata.name', name, `must be no more than ${max} characters`)];
  if (hasSegmentName(resource)) return checkSegment(name);
  if (isNamespace) return label.test(name) ? [] : [invalid('metadata.name', name, labelRule)];
  return subdomain.test(name) ? [] : [invalid('metadata.name', name, subdomainRule)];
}

/** What stands between two slashes of a path (apimachinery, api/validation/path). */
function checkSegment(name: string): Cause[] {
  if (name === '.' || name === '..') return [invalid('metadata.name', name, `may not be '${name}'`)];
  return ['/', '%']
    .filter((character) => name.includes(character))
    .map((character) => invalid('metadata.name', name, `may not contain '${character}'`));
}

function isQualified(key: string): boolean {
  const [part, prefix, ...more] = key.split('/').reverse();
  return (
    more.length === 0 &&
    part !== undefined &&
    part.length <= 63 &&
    qualifiedPart.test(part) &&
    (prefix === undefined || (prefix.length <= 253 && subdomain.test(prefix)))
  );
}

function checkLabels({ labels = {} }: Metadata): Cause[] {
  return Object.entries(labels).flatMap(([key, value]) => [
    ...(isQualified(key) ? [] : [invalid('metadata.labels', key, keyRule)]),
    ...(value.length > 63 ? [invalid('metadata.labels', value, 'must be no more than 63 characters')] : []),
    ...(value === '' || qualifiedPart.test(value) ? [] : [invalid('metadata.labels', value, valueRule)]),
  ]);
}

function checkAnnotations({ annotations = {} }: Metadata): Cause[] {
  const bytes = Object.entries(annotations).reduce((sum, [key, value]) => sum + key.length + value.length, 0);
  return [
    ...Object.keys(annotations)
      .filter((key) => !isQualified(key.toLowerCase()))
      .map((key) => invalid('metadata.annotations', key, keyRule)),
    ...(bytes > maxAnnotationBytes ? [tooLong('metadata.annotations', maxAnnotationBytes)] : []),
  ];
}

function checkFinalizers({ finalizers = [] }: Metadata): Cause[] {
  const both = finalizers.includes('orphan') && finalizers.includes('foregroundDeletion');
  return [
    ...finalizers.filter((name) => !isQualified(name)).map((name) => invalid('metadata.finalizers', name, keyRule)),
    ...(both
      ? [invalid('metadata.finalizers', finalizers, 'finalizer orphan and foregroundDeletion cannot be both set')]
      : []),
  ];
}

function checkOwners({ ownerReferences = [] }: Metadata): Cause[] {
  const controllers = ownerReferences.filter((owner) => owner.controller).length;
  return [
    ...ownerReferences.flatMap((owner, index) =>
      (['apiVersion', 'kind', 'name', 'uid'] as const)
        .filter((field) => owner[field] === '')
        .map((field) => invalid(`metadata.ownerReferences[${index}].${field}`, '', 'must not be empty')),
    ),
    ...(controllers > 1
      ? [invalid('metadata.ownerReferences', null, 'Only one reference can have Controller set to true')]
      : []),
  ];
}

/** While an object is being deleted its finalizers can only become fewer: a new one could keep it for ever. */
export function checkNewFinalizers(old: Metadata, next: Metadata): Cause[] {
  if (old.deletionTimestamp === undefined) return [];
  const added = (next.finalizers ?? []).filter((name) => !(old.finalizers ?? []).includes(name));
  if (added.length === 0) return [];
  const names = added.map((name) => JSON.stringify(name)).join(', ');
  return [
    forbidden(
      'metadata.finalizers',
      `no new finalizers can be added if the object is being deleted, found new finalizers []string{${names}}`,
    ),
  ];
}
