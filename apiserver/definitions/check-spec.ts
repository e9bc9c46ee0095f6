/** What a definition must be beyond its schema (apiextensions, apis/apiextensions/validation). */
import type { JsonObject } from '#apiserver/json/json.ts';
import type { CrdNames, CrdSpec, CrdVersion, StoredCrd } from '#apiserver/resources/crd.ts';
import { invalid, required, tooLong } from '#apiserver/schema/causes.ts';
import type { Cause } from '#lib/std/errors.ts';
import { checkColumns, checkScale, checkSelectable } from './check-paths.ts';
import { checkSchema } from './schema-rules.ts';

const label = /^[a-z]([-a-z0-9]*[a-z0-9])?$/;
const labelRule =
  "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')";
const domain = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)+$/;

const approval = 'api-approved.kubernetes.io';
const maxWarning = 256;

export function checkDefinition({ metadata, spec }: StoredCrd): Cause[] {
  const name = `${spec.names.plural}.${spec.group}`;
  return [
    ...(metadata.name === name
      ? []
      : [invalid('metadata.name', metadata.name, 'must be spec.names.plural+"."+spec.group')]),
    ...checkGroup(spec.group),
    ...checkApproval(spec.group, metadata.annotations ?? {}),
    ...checkNames(spec.names, 'spec.names'),
    ...checkConversion(spec),
    ...(spec.preserveUnknownFields
      ? [
          invalid(
            'spec.preserveUnknownFields',
            true,
            'cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead',
          ),
        ]
      : []),
    ...checkVersions(spec.versions),
  ];
}

function checkGroup(group: string): Cause[] {
  if (group === '') return [required('spec.group')];
  if (domain.test(group) && group.length <= 253) return [];
  return [invalid('spec.group', group, 'should be a domain with at least one dot')];
}

/** Groups of the Kubernetes project are for kinds that it has agreed to. */
function checkApproval(group: string, annotations: Readonly<Record<string, string>>): Cause[] {
  const isProtected = /(^|\.)(k8s|kubernetes)\.io$/.test(group);
  if (!isProtected || annotations[approval]) return [];
  return [
    required(`metadata.annotations[${approval}]`, `protected groups must have approval annotation "${approval}"`),
  ];
}

function checkNames(names: CrdNames, path: string): Cause[] {
  const causes: Cause[] = [];
  const check = (field: string, value: string | undefined) => {
    if (value === '') causes.push(required(`${path}.${field}`));
    else if (value !== undefined && (!label.test(value) || value.length > 63))
      causes.push(invalid(`${path}.${field}`, value, labelRule));
  };
  check('plural', names.plural);
  check('singular', names.singular);
  // Kinds may have capitals and are otherwise the same.
  check('kind', names.kind.toLowerCase());
  check('listKind', names.listKind?.toLowerCase());
  names.shortNames?.forEach((name, index) => void check(`shortNames[${index}]`, name));
  names.categories?.forEach((name, index) => void check(`categories[${index}]`, name));
  if (names.kind === names.listKind)
    causes.push(invalid(`${path}.listKind`, names.listKind, 'kind and listKind may not be the same'));
  return causes;
}

function checkConversion({ conversion }: CrdSpec): Cause[] {
  if (conversion === undefined || conversion.strategy === 'None') return [];
  return [
    invalid(
      'spec.conversion.strategy',
      conversion.strategy,
      'this server calls no conversion webhooks: use None, with versions that differ in optional fields only',
    ),
  ];
}

function checkVersions(versions: readonly CrdVersion[]): Cause[] {
  const path = 'spec.versions';
  const names = versions.map(({ name }) => name);
  const stored = versions.filter(({ storage }) => storage);
  if (versions.length === 0) return [required(path, 'must have at least one version')];
  return [
    ...(new Set(names).size === names.length ? [] : [invalid(path, names, 'must contain unique version names')]),
    ...(stored.length === 1
      ? []
      : [
          invalid(
            path,
            stored.map(({ name }) => name),
            'must have exactly one version marked as storage version',
          ),
        ]),
    ...versions.flatMap((version, index) => checkVersion(version, `${path}[${index}]`)),
  ];
}

function checkVersion(version: CrdVersion, path: string): Cause[] {
  const schema = version.schema?.openAPIV3Schema;
  return [
    ...(label.test(version.name) && version.name.length <= 63
      ? []
      : [invalid(`${path}.name`, version.name, labelRule)]),
    ...checkWarning(version, path),
    ...(schema === undefined
      ? [required(`${path}.schema.openAPIV3Schema`, 'schemas are required')]
      : checkSchema(schema as unknown as JsonObject, `${path}.schema.openAPIV3Schema`)),
    ...checkColumns(version.additionalPrinterColumns ?? [], `${path}.additionalPrinterColumns`),
    ...checkScale(version.subresources?.scale, `${path}.subresources.scale`),
    ...checkSelectable(version, `${path}.selectableFields`),
  ];
}

function checkWarning({ deprecated, deprecationWarning }: CrdVersion, path: string): Cause[] {
  if (deprecationWarning === undefined) return [];
  const here = `${path}.deprecationWarning`;
  if (!deprecated) return [invalid(here, deprecationWarning, 'can only be set for deprecated versions')];
  if (deprecationWarning === '') return [invalid(here, '', 'must not be an empty string')];
  if (deprecationWarning.length > maxWarning) return [tooLong(here, maxWarning)];
  return /[\p{Cc}]/u.test(deprecationWarning)
    ? [invalid(here, deprecationWarning, 'must only contain printable characters')]
    : [];
}
