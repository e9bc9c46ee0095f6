/**
 * Rules of Subnets that are a part of the site's network. It reaches whatever the site has there, so who makes one needs the right for it:
 * the verb `use` on `segments` of computefactory.io. Two on one segment would give out the same address twice, unless the site gives them out. Requests that race may both pass.
 */
import { mastersGroup } from '#apiserver/auth/user.ts';
import { forbiddenObject, invalidObject } from '#apiserver/http/status.ts';
import type { ApiObject, StoredObject } from '#apiserver/json/object.ts';
import { invalid } from '#apiserver/schema/causes.ts';
import { addressPlan } from '#lib/api/addresses.ts';
import type { Subnet } from '#lib/api/generated/subnet.ts';
import { group } from '#lib/api/names.ts';
import { lookUpAll, ours } from './look-up.ts';
import type { AdmissionRequest } from './rules.ts';

type Segment = NonNullable<Subnet['spec']['segment']>;

export async function admitSegment(
  object: ApiObject,
  old: StoredObject | undefined,
  request: AdmissionRequest,
): Promise<void> {
  const { metadata, spec } = object as unknown as Subnet;
  if (old || !spec.segment) return;
  if (!mayUse(request)) {
    const why = `type: ${spec.type} is a network of the site: who makes it needs the verb "use" on resource "segments" of ${group}`;
    throw forbiddenObject(request.resource, metadata.name, why);
  }
  const all = await lookUpAll<Subnet & ApiObject>(request.context, ours('subnets'), undefined);
  const clash = all.find((other) => clashes(spec, other.spec));
  if (!clash) return;
  // Names of other tenants' objects are not for everybody.
  const isOwn = clash.metadata.namespace === request.namespace;
  const whose = isOwn ? `Subnet "${clash.metadata.name}"` : 'A Subnet of another namespace';
  const why =
    spec.type === 'VLAN'
      ? `${whose} is on this VLAN: use that one, a host has a VLAN once`
      : `${whose} gives out addresses of ${clash.spec.cidr} on this bridge: choose a cidr beside it`;
  const [field, value] = spec.type === 'VLAN' ? ['spec.segment', null] : ['spec.cidr', spec.cidr];
  throw invalidObject(request.resource, metadata.name, [invalid(field!, value, why)]);
}

function mayUse({ context, user, namespace = '' }: AdmissionRequest): boolean {
  if (user.groups.includes(mastersGroup)) return true;
  const attributes = { verb: 'use', group, resource: 'segments', namespace };
  return context.access.authorizer(user, attributes).verdict === 'allow';
}

/** On the hosts of some cluster they are one network. */
function clashes(spec: Subnet['spec'], other: Subnet['spec']): boolean {
  if (!spec.segment || !other.segment) return false;
  const clusters = [spec.segment, other.segment].flatMap((each) => (each.clusters ?? []).map(({ cluster }) => cluster));
  const isShared = [undefined, ...clusters].some(
    (cluster) => nameIn(spec.segment!, cluster) === nameIn(other.segment!, cluster),
  );
  const givesBoth = spec.ipam !== 'External' && other.ipam !== 'External';
  return isShared && (spec.type === 'VLAN' || (givesBoth && overlap(spec, other)));
}

function nameIn(segment: Segment, cluster: string | undefined): string {
  const { bridge, parentNIC, vlan } = segment.clusters?.find((each) => each.cluster === cluster) ?? segment;
  return bridge === undefined ? `${parentNIC}/${vlan}` : `bridge ${bridge}`;
}

function overlap(a: Subnet['spec'], b: Subnet['spec']): boolean {
  const [one, other] = [addressPlan({ cidr: a.cidr }).network, addressPlan({ cidr: b.cidr }).network];
  return one.first <= other.last && other.first <= one.last;
}
