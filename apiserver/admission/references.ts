/**
 * References to other objects. What is named may come later, as objects of one file do in any order: so a name that leads nowhere is told
 * by a warning, and the object waits with a condition. Only names outside of what the namespace may use are refused.
 */
import { atPath, isObject, type Json } from '#apiserver/json/json.ts';
import type { ApiObject, StoredObject } from '#apiserver/json/object.ts';
import { invalid } from '#apiserver/schema/causes.ts';
import { publicNamespace } from '#lib/api/names.ts';
import type { Cause } from '#lib/std/errors.ts';
import { lookUpRecent, ours, type Place, unusable } from './look-up.ts';
import type { AdmissionRequest } from './rules.ts';
import { exactlyOne } from './size.ts';

interface Reference {
  readonly field: string;
  readonly kind: string;
  readonly place: Place;
  readonly namespace: string | undefined;
  readonly name: string;
}

const at = (value: Json | undefined, ...path: string[]) => (isObject(value) ? atPath(value, path) : undefined);
const list = (value: Json | undefined) => (Array.isArray(value) ? value : []);

/** Of a machine's spec, or of a template's, which stands at `field`. */
function machineReferences(spec: Json | undefined, field: string, namespace: string | undefined): Reference[] {
  const imageNamespace = at(spec, 'image', 'namespace') || namespace;
  const named = (kind: string, plural: string, path: string, name: Json | undefined, where: string | undefined) =>
    typeof name === 'string' && name !== ''
      ? [{ field: `${field}.${path}`, kind, place: ours(plural), namespace: where, name }]
      : [];
  return [
    ...named('Image', 'images', 'image', at(spec, 'image', 'name'), String(imageNamespace)),
    ...named('InstanceType', 'instancetypes', 'instanceType', at(spec, 'instanceType'), undefined),
    ...list(at(spec, 'networks')).flatMap((network, index) =>
      named('Subnet', 'subnets', `networks[${index}].subnet`, at(network, 'subnet'), namespace),
    ),
    ...list(at(spec, 'volumes')).flatMap((volume, index) =>
      named('Volume', 'volumes', `volumes[${index}].volume`, at(volume, 'volume'), namespace),
    ),
    ...named('Cluster', 'clusters', 'placement.cluster', at(spec, 'placement', 'cluster'), undefined),
  ];
}

/** `path` leads to the spec of a machine in objects of this kind. */
function referencesOf(object: ApiObject, path: readonly string[]): Reference[] {
  return machineReferences(atPath(object, path), path.join('.'), object.metadata.namespace);
}

function target({ kind, namespace = '', name }: Reference): string {
  return [kind, namespace, name].join('/');
}

/** One image or one family; those of other tenants cannot be named, whether they are there or not. */
export function checkImage(object: ApiObject, path: readonly string[]): Cause[] {
  const field = [...path, 'image'];
  const set = (['name', 'family'] as const).filter((name) => atPath(object, [...field, name]) !== undefined);
  return [...exactlyOne(field.join('.'), ['name', 'family'], set), ...checkNamespace(object, path)];
}

function checkNamespace(object: ApiObject, path: readonly string[]): Cause[] {
  const namespace = atPath(object, [...path, 'image', 'namespace']);
  if (!namespace || namespace === object.metadata.namespace || namespace === publicNamespace) return [];
  const allowed = `only the images of this namespace and of ${publicNamespace} can be used`;
  return [invalid(`${path.join('.')}.image.namespace`, namespace, allowed)];
}

/** Warns of names that lead nowhere now, once: when they are written. Not of what a controller made: its template was warned about. */
export function warnOfReferences(path: readonly string[]) {
  return async (object: ApiObject, old: StoredObject | undefined, request: AdmissionRequest): Promise<void> => {
    if (request.part !== 'main' || object.metadata.ownerReferences?.some(({ controller }) => controller)) return;
    const before = new Set(old ? referencesOf(old, path).map(target) : []);
    const fresh = referencesOf(object, path).filter((reference) => !before.has(target(reference)));
    await Promise.all(
      fresh.map(async ({ field, kind, place, namespace, name }) => {
        const why = unusable(await lookUpRecent(request.context, place, namespace, name));
        if (why) request.warn(`${field}: ${kind} "${name}" ${why}; nothing starts until there is one`);
      }),
    );
  };
}
