/** Rules of Image, Cluster and Host. */
import { isAbsolute } from 'node:path/posix';
import { invalid } from '#apiserver/schema/causes.ts';
import type { Host } from '#lib/api/generated/host.ts';
import type { Image } from '#lib/api/generated/image.ts';
import { annotations } from '#lib/api/names.ts';
import type { Cause } from '#lib/std/errors.ts';
import { unchanged } from './immutable.ts';
import type { Rules } from './rules.ts';
import { exactlyOne } from './size.ts';

function checkFilePath(path: string): Cause[] {
  const field = 'spec.source.file.path';
  if (path === '') return [invalid(field, path, 'must not be empty')];
  if (isAbsolute(path)) return [invalid(field, path, 'must be relative to the import directory of the hosts')];
  const leaves = path.split('/').includes('..') || path.includes('\0');
  return leaves ? [invalid(field, path, 'must stay inside the import directory: ".." is not allowed')] : [];
}

const unsealed = {
  Linux:
    'Machines of a disk that ran share what is in it: empty /etc/machine-id, remove /etc/ssh/ssh_host_* and /var/lib/cloud, and shut down before the snapshot',
  Windows:
    'Machines of a disk that ran share what is in it: run Sysprep with /generalize and /shutdown before the snapshot',
} as const;

const sources = ['http', 'file', 'upload', 'snapshot'] as const;

export const imageRules: Rules = {
  check(object, old) {
    const { source } = (object as unknown as Image).spec;
    const set = sources.filter((name) => source[name] !== undefined);
    return [
      ...exactlyOne('spec.source', sources, set),
      ...(source.file ? checkFilePath(source.file.path) : []),
      ...unchanged(object, old, ['spec.source'], 'new bytes are a new Image: create one under another name'),
    ];
  },
  async admit(object, old, { warn }) {
    const { source, sealed, osType } = (object as unknown as Image).spec;
    if (old || !source.snapshot || sealed === 'Yes') return;
    warn(`spec.sealed: it is ${sealed}. ${unsealed[osType === 'Windows' ? 'Windows' : 'Linux']}`);
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

/** Who vouches that a host is dead vouches for one boot of it: another one may be running machines. */
export const hostRules: Rules = {
  check(object, old) {
    const declared = object.metadata.annotations?.[annotations.confirmedDead];
    if (declared === undefined || declared === old?.metadata.annotations?.[annotations.confirmedDead]) return [];
    const { bootID } = (object as unknown as Host).status ?? {};
    if (declared === bootID) return [];
    const known = bootID === undefined ? 'this host has not reported one yet' : `it is ${bootID}`;
    const field = `metadata.annotations[${annotations.confirmedDead}]`;
    return [invalid(field, declared, `must be the boot id in status.bootID; ${known}`)];
  },
  /** With it would go what is known of machines that may run there. */
  refuseDelete(object) {
    const { metadata, status } = object as unknown as Host;
    const dead = metadata.annotations?.[annotations.confirmedDead];
    const left = (status?.pendingCleanup ?? []).filter(({ bootID }) => bootID === undefined || bootID !== dead);
    if (left.length === 0) return undefined;
    const [{ namespace, name }] = left as [(typeof left)[number]];
    return `${left.length} deleted machines may run there (${namespace}/${name}); wait until the host answers, or vouch for its death with the annotation ${annotations.confirmedDead}`;
  },
};
