/** Rules of Subnet, Image and Cluster. */
import { isAbsolute } from 'node:path/posix';
import { invalid } from '#apiserver/schema/causes.ts';
import { addressPlan } from '#lib/api/addresses.ts';
import type { Image } from '#lib/api/generated/image.ts';
import type { Subnet } from '#lib/api/generated/subnet.ts';
import { parseCidr, parseIPv4, parseRange } from '#lib/api/ipv4.ts';
import type { Cause } from '#lib/std/errors.ts';
import { unchanged } from './immutable.ts';
import type { Rules } from './rules.ts';
import { exactlyOne } from './size.ts';

const newSubnet = 'create a new Subnet, move the machines there, then delete this one';

/** The error's sentence as a cause, without the field that may stand in front of it. */
function readable(field: string, value: string, read: () => unknown): Cause[] {
  try {
    read();
    return [];
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    return [invalid(field, value, error.message.replace(/^spec\.\w+: /, ''))];
  }
}

function checkSubnet({ spec }: Subnet): Cause[] {
  const { cidr, gateway, excludeIPs = [] } = spec;
  const network = readable('spec.cidr', cidr, () => {
    parseCidr(cidr);
    addressPlan({ cidr });
  });
  if (network.length > 0) return network;
  return [
    ...(gateway && gateway !== 'none'
      ? readable('spec.gateway', gateway, () => {
          parseIPv4(gateway);
          addressPlan({ cidr, gateway });
        })
      : []),
    ...excludeIPs.flatMap((text, index) =>
      readable(`spec.excludeIPs[${index}]`, text, () => {
        parseRange(text);
        addressPlan({ cidr, excludeIPs: [text] });
      }),
    ),
  ];
}

export const subnetRules: Rules = {
  check: (object, old) => [
    ...checkSubnet(object as unknown as Subnet),
    ...unchanged(object, old, ['spec.cidr', 'spec.type'], newSubnet),
  ],
};

function checkFilePath(path: string): Cause[] {
  const field = 'spec.source.file.path';
  if (path === '') return [invalid(field, path, 'must not be empty')];
  if (isAbsolute(path)) return [invalid(field, path, 'must be relative to the import directory of the hosts')];
  const leaves = path.split('/').includes('..') || path.includes('\0');
  return leaves ? [invalid(field, path, 'must stay inside the import directory: ".." is not allowed')] : [];
}

export const imageRules: Rules = {
  check(object, old) {
    const { source } = (object as unknown as Image).spec;
    const set = (['http', 'file'] as const).filter((name) => source[name] !== undefined);
    return [
      ...exactlyOne('spec.source', ['http', 'file'], set),
      ...(source.file ? checkFilePath(source.file.path) : []),
      ...unchanged(object, old, ['spec.source'], 'new bytes are a new Image: create one under another name'),
    ];
  },
};

/** Names of hosts and of the framework are made from it. */
export const clusterRules: Rules = {
  check(object) {
    const name = object.metadata.name ?? '';
    if (/^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/.test(name)) return [];
    return [
      invalid(
        'metadata.name',
        name,
        'must be at most 63 lower-case letters, digits and dashes: hosts are named after it',
      ),
    ];
  },
};
