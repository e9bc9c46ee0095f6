import type { HostVolumes } from '../hypervisor.ts';
import { VolumeError } from './errors.ts';

/** A host whose configuration names no Gluster volumes. */
export const noVolumes: HostVolumes = {
  names: [],
  make: refuse,
  fill: refuse,
  remove: refuse,
  strays: refuse,
  discard: refuse,
  attach: async ({ volumes }) => (volumes.length === 0 ? [] : await refuse()),
  detach: async () => undefined,
  owners: async () => [],
  look: async () => [],
};

async function refuse(): Promise<never> {
  throw new VolumeError(
    'NotAllowed',
    'The configuration of this host names no Gluster volumes: add gluster.volumes to it',
  );
}
