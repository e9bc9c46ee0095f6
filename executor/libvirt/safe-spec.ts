/**
 * A last look at what becomes a domain's XML, and so arguments of QEMU. Users' names are data and may be anything that XML can hold; names
 * of devices, paths and numbers have a form. libvirt would take some of the others for something else: a tap named `x%d` for a pattern,
 * a size of NaN for none.
 */
import type { DomainSpec } from '../hypervisor.ts';
import type { BackingFile } from './backing-file.ts';
import { isXmlText } from './xml.ts';

const uuidPattern = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
const macPattern = /^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/;
/** IFNAMSIZ of Linux without its final zero. */
const interfacePattern = /^[A-Za-z0-9][A-Za-z0-9._-]{0,14}$/;
/** Of volumes and data disks. What a virtio disk has room for as its serial number is shorter than what virtiofs has for its tag. */
const serialPattern = /^[a-z0-9]([-a-z0-9]{0,18}[a-z0-9])?$/;
/** PATH_MAX of Linux without its final zero. */
const pathBytesMax = 4095;
/** Of names that users see: Linux' own bound on one. */
const nameBytesMax = 255;

/** Throws a TypeError that names the field. */
export function requireSafeSpec(spec: DomainSpec, backing: BackingFile | undefined): void {
  const { uid, installation, namespace, name, attempt, cores, memoryMiB, nics } = spec;
  const checks: (readonly [field: string, value: unknown, right: boolean])[] = [
    ['uid', uid, uuidPattern.test(uid)],
    ['installation', installation, isName(installation)],
    ['namespace', namespace, isName(namespace)],
    ['name', name, isName(name)],
    ['attempt', attempt, Number.isSafeInteger(attempt) && attempt >= 0],
    ['cores', cores, isCount(cores)],
    ['memoryMiB', memoryMiB, isCount(memoryMiB)],
    ['rootDisk', spec.rootDisk, isPath(spec.rootDisk)],
    ['seedDisk', spec.seedDisk, isPath(spec.seedDisk)],
    ['consoleSocket', spec.consoleSocket, isPath(spec.consoleSocket)],
    ['vncSocket', spec.vncSocket, isPath(spec.vncSocket)],
    ['consoleLog', spec.consoleLog, isPath(spec.consoleLog)],
    ...(spec.volumes ?? []).flatMap(({ name, path }): typeof checks => [
      ['volume', name, serialPattern.test(name)],
      ['path of a volume', path, isPath(path)],
    ]),
    ...(spec.dataDisks ?? []).flatMap(({ name, path }): typeof checks => [
      ['data disk', name, serialPattern.test(name)],
      ['path of a data disk', path, isPath(path)],
    ]),
    ...[spec.rootDiskLimits, ...(spec.dataDisks ?? []).map(({ limits }) => limits)]
      .flatMap((limits) => Object.values(limits ?? {}) as readonly number[])
      .map((limit): (typeof checks)[number] => ['limit of a disk', limit, isCount(limit)]),
    ['ioWeight', spec.ioWeight, spec.ioWeight === undefined || isCount(spec.ioWeight)],
    ['backing file', backing?.path, backing === undefined || isPath(backing.path)],
    ...nics.flatMap(({ tap, bridge, mac, mtu }): typeof checks => [
      ['tap', tap, interfacePattern.test(tap)],
      ['bridge', bridge, interfacePattern.test(bridge)],
      ['mac', mac, macPattern.test(mac)],
      ['mtu', mtu, isCount(mtu)],
    ]),
  ];
  const wrong = checks.find(([, , right]) => !right);
  if (!wrong) return;
  const [field, value] = wrong;
  throw new TypeError(`Cannot define a domain with the ${field} ${inWords(value)}`);
}

function isCount(value: number): boolean {
  return Number.isSafeInteger(value) && value > 0;
}

function isName(value: string): boolean {
  return isXmlText(value) && value.trim() === value && Buffer.byteLength(value) <= nameBytesMax;
}

/** From the root, without steps back: what is compared with it elsewhere is compared as text. */
function isPath(value: string): boolean {
  const steps = value.split('/');
  return value.startsWith('/') && !steps.includes('..') && isXmlText(value) && Buffer.byteLength(value) <= pathBytesMax;
}

function inWords(value: unknown): string {
  return typeof value === 'string' ? JSON.stringify(value.slice(0, nameBytesMax)) : String(value);
}
