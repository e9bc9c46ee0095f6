/**
 * The XML that has libvirt copy the root disk of a running domain into a file of its own (a "push backup"). The copy is of one moment, and
 * the disk's chain stays as it is: there is no second overlay that could grow, be left behind, or be merged into an image.
 */
import { buildXml, isXmlText, parseXml } from './xml.ts';

/** By its place on the bus: whatever its file is called. */
export const rootDisk = 'vda';

interface Running {
  readonly domain?: { readonly devices?: { readonly disk?: Disk | readonly Disk[] } };
}

interface Disk {
  readonly target?: { readonly '@dev'?: string };
}

/** `running`: the domain's XML. Throws Error if it has no root disk as we define it, and a TypeError for a path that XML cannot hold. */
export function backupXml(running: string, file: string): string {
  if (!isXmlText(file)) throw new TypeError(`Cannot copy a disk to ${JSON.stringify(file)}`);
  const found = (parseXml(running) as Running).domain?.devices?.disk ?? [];
  const devices = [found].flat().flatMap((disk) => (disk as Disk).target?.['@dev'] ?? []);
  if (!devices.includes(rootDisk)) throw new Error(`Cannot copy the disk ${rootDisk}: the domain has none`);
  const others = devices
    .filter((device) => device !== rootDisk)
    .map((device) => ({ '@name': device, '@backup': 'no' }));
  const wanted = {
    ...{ '@name': rootDisk, '@backup': 'yes', '@type': 'file' },
    driver: { '@type': 'qcow2' },
    target: { '@file': file },
  };
  return buildXml({ domainbackup: { '@mode': 'push', disks: { disk: [wanted, ...others] } } });
}
