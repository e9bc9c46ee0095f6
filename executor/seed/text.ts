/** Values on their way into a seed: each is the reader's text afterwards, or is refused. */

import type { MachineVolume } from '#lib/api/launch.ts';

export interface VendorContent {
  readonly adminPassword?: string;
  readonly volumes?: readonly MachineVolume[];
}

/** Throws for a name that is more than one word anywhere. */
export function requireHostname(hostname: string): string {
  if (/^[A-Za-z0-9.-]+$/.test(hostname)) return hostname;
  throw new Error(`Cannot use "${hostname}" as a hostname: letters, digits, - and . only`);
}

/** What users wrote is bytes to us, whatever they mean to the guest; halves of surrogate pairs would come out as something else. */
export function asItIs(what: string, text: string): string {
  if (text.isWellFormed()) return text;
  throw new TypeError(`Cannot write the ${what} into a seed: it has characters that UTF-8 cannot hold`);
}

/** JSON that strict readers of YAML take, too: they refuse DEL, C1 controls and non-characters unless they are escaped. */
export function json(value: unknown): string {
  return JSON.stringify(value).replace(
    /[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

export function cloudConfig(value: object): string {
  return `#cloud-config\n${json(value)}\n`;
}

/**
 * What cloud-init is to do beside the user data, which it is merged under: the password of the default user, and volumes to be mounted. A
 * machine without one of them starts all the same. undefined: nothing.
 */
export function vendorConfig({ adminPassword, volumes = [] }: VendorContent): string | undefined {
  const mounts = volumes.flatMap(({ name, mountPath, readOnly }) =>
    mountPath === undefined
      ? []
      : [[name, mountPath, 'virtiofs', readOnly ? 'ro,nofail' : 'defaults,nofail', '0', '0']],
  );
  const config = {
    ...(adminPassword === undefined ? {} : { password: adminPassword, chpasswd: { expire: false } }),
    ...(mounts.length === 0 ? {} : { mounts }),
  };
  return Object.keys(config).length === 0 ? undefined : cloudConfig(config);
}
