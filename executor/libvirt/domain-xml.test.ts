import { expect, test } from 'vitest';
import type { DomainSpec } from '../hypervisor.ts';
import {
  canonicalMachine,
  copiedDisks,
  domainXml,
  readDomainXml,
  readMachineType,
  readMovableXml,
} from './domain-xml.ts';

const spec: DomainSpec = {
  uid: '0e3a1f6c-0000-4000-8000-000000000001',
  installation: 'installation',
  namespace: 'studio',
  name: `a"<&>'b`,
  attempt: 7,
  cores: 2,
  memoryMiB: 96,
  rootDisk: '/d/root.qcow2',
  seedDisk: '/d/seed.iso',
  nics: [{ tap: 'cft0', bridge: 'cfb1', mac: '52:54:00:00:00:01', mtu: 1450 }],
  consoleSocket: '/d/console.sock',
  consoleLog: '/d/console.log',
  vncSocket: '/r/vnc/abc',
};
const none = { processors: false, memory: false, weights: false };
const all = { processors: true, memory: true, weights: true };
const emulated = { kvm: false, limits: none };
const image = { path: `/images/a&b`, format: 'raw' } as const;

test('what is written is read back', () => {
  expect(readDomainXml(domainXml(spec, image, emulated))).toEqual({
    uuid: spec.uid,
    vncSocket: spec.vncSocket,
    cores: 2,
    memoryMiB: 96,
    machine: { installation: 'installation', attempt: 7 },
  });
});

test('names are data: none of them can end an element', () => {
  const xml = domainXml(spec, image, emulated);
  expect(xml).toContain('<cf:name>a&quot;&lt;&amp;&gt;&apos;b</cf:name>');
  expect(xml).toContain('file="/images/a&amp;b"');
});

test('formats are written for every file, and the chain ends at the image', () => {
  const xml = domainXml(spec, image, emulated);
  expect(xml).toMatch(/<backingStore type="file"><format type="raw"\/>.*<backingStore\/><\/backingStore>/);
});

test('a seed for Windows Setup is a CD-ROM, every other a virtio disk', () => {
  const target = (seedRemovable: boolean) => domainXml({ ...spec, seedRemovable }, image, emulated);
  expect(target(true)).toContain('<target dev="hda" bus="ide"/>');
  expect(target(true)).toContain('device="cdrom"');
  expect(target(false)).toContain('<target dev="vdb" bus="virtio"/>');
  expect(target(false)).not.toContain('cdrom');
});

test('every error of the root disk stops the guest, not only a full host', () => {
  expect(domainXml(spec, image, emulated)).toContain('type="qcow2" error_policy="stop"');
});

test.each([
  [false, 'type="qemu"', '<tb-cache unit="MiB">32</tb-cache>'],
  [true, 'type="kvm"', 'host-passthrough'],
])('with kvm %s', (kvm, ...expected) => {
  for (const part of expected) expect(domainXml(spec, image, { kvm, limits: none })).toContain(part);
});

test('a console path too long to listen on costs the console, not the machine', () => {
  const long = domainXml({ ...spec, consoleSocket: `/${'d'.repeat(108)}` }, image, emulated);
  expect(long).toContain('<serial type="pty"><log file="/d/console.log" append="on"/>');
});

test('where there are control groups QEMU gets what its task was given, and one core beside its processors', () => {
  const xml = domainXml(spec, image, { kvm: true, limits: all });
  // 96 MiB and 2 %, and 64.
  expect(xml).toContain('<memtune><hard_limit unit="MiB">162</hard_limit></memtune>');
  expect(xml).toContain(
    '<cputune><shares>200</shares><global_period>100000</global_period><global_quota>300000</global_quota>' +
      '<emulator_period>100000</emulator_period><emulator_quota>100000<',
  );
  expect(domainXml(spec, image, { kvm: false, limits: all })).toContain('<hard_limit unit="MiB">194</hard_limit>');
  expect(domainXml({ ...spec, cores: 512 }, image, { kvm: true, limits: all })).toContain('<shares>10000</shares>');
  expect(domainXml(spec, image, emulated)).not.toMatch(/memtune|cputune/);
  const only = domainXml(spec, image, { kvm: true, limits: { ...all, memory: false } });
  expect(only).toMatch(/^(?!.*memtune).*cputune/);
});

test.each([
  [
    'no metadata',
    '<domain type="kvm"><uuid>u</uuid><memory unit="KiB">2048</memory><vcpu placement="static">3</vcpu></domain>',
  ],
  [
    'metadata of others under our prefix',
    '<domain><uuid>u</uuid><metadata><cf:machine xmlns:cf="https://example.org/"><cf:installation>i</cf:installation></cf:machine></metadata><memory unit="KiB">2048</memory><vcpu>3</vcpu></domain>',
  ],
])('a domain with %s is not ours', (_, xml) => {
  expect(readDomainXml(xml)).toEqual({ uuid: 'u', cores: 3, memoryMiB: 2 });
});

test('a directory is shared by way of the memory, a disk bears its name, and neither is there without a volume', () => {
  const volumes = [
    { name: 'data', type: 'SharedFilesystem', path: '/v/data' },
    { name: 'd-1', type: 'Disk', path: '/v/disk.qcow2' },
    { name: 'd-2', type: 'Disk', path: '/v/disk2.qcow2' },
  ] as const;
  const xml = domainXml({ ...spec, volumes }, image, emulated);
  expect(xml).toContain('<memoryBacking><source type="memfd"/><access mode="shared"/></memoryBacking>');
  expect(xml).toMatch(/<driver type="virtiofs"\/>.*<source dir="\/v\/data"\/><target dir="data"\/>/);
  expect(xml).toMatch(
    /file="\/v\/disk.qcow2"\/><backingStore\/><target dev="vdc" bus="virtio"\/><serial>d-1<\/serial>/,
  );
  expect(xml).toContain('<target dev="vdd" bus="virtio"/><serial>d-2</serial>');
  const without = domainXml(spec, image, emulated);
  for (const word of ['memoryBacking', 'filesystem', 'vdc']) expect(without).not.toContain(word);
  for (const wrong of [{ name: 'a b' }, { name: 'a'.repeat(21) }, { path: 'v' }])
    expect(() => domainXml({ ...spec, volumes: [{ ...volumes[0], ...wrong }] }, image, emulated)).toThrow(TypeError);
});

test('a data disk stands on nothing and bears its name; there is a place for each, behind those of volumes', () => {
  const volumes = [{ name: 'v', type: 'Disk', path: '/v/disk.qcow2' }] as const;
  const dataDisks = Array.from({ length: 26 }, (_, index) => ({ name: `d-${index}`, path: `/d/disk-${index}.qcow2` }));
  const xml = domainXml({ ...spec, volumes, dataDisks }, image, emulated);
  expect(xml).toContain(
    '<driver name="qemu" type="qcow2" error_policy="stop" discard="unmap"/><source file="/d/disk-0.qcow2"/><backingStore/>' +
      '<target dev="vdd" bus="virtio"/><serial>d-0</serial>',
  );
  for (const [index, place] of [
    [22, 'vdz'],
    [23, 'vdaa'],
    [25, 'vdac'],
  ] as const)
    expect(xml).toContain(`<target dev="${place}" bus="virtio"/><serial>d-${index}</serial>`);
  for (const wrong of [{ name: 'a b' }, { name: 'a'.repeat(21) }, { path: 'd' }, { limits: { bytesPerSecond: 0.5 } }])
    expect(() => domainXml({ ...spec, dataDisks: [{ ...dataDisks[0]!, ...wrong }] }, image, emulated)).toThrow(
      TypeError,
    );
});

test('a disk is limited where it is asked for, wherever it runs; a weight is written only where the host weighs', () => {
  const limits = { bytesPerSecond: 2 ** 20, requestsPerSecond: 50 };
  const dataDisks = [{ name: 'd', path: '/d/disk-d.qcow2', limits: { requestsPerSecond: 70 } }];
  const limited = { ...spec, rootDiskLimits: limits, dataDisks, ioWeight: 700 };
  const xml = domainXml(limited, image, emulated);
  expect(xml).toContain(
    '<target dev="vda" bus="virtio"/><iotune><total_bytes_sec>1048576</total_bytes_sec><total_iops_sec>50</total_iops_sec></iotune>',
  );
  expect(xml).toContain('<serial>d</serial><iotune><total_iops_sec>70</total_iops_sec></iotune>');
  expect(xml).not.toContain('blkiotune');
  const weight = '<blkiotune><weight>700</weight></blkiotune>';
  expect(domainXml(limited, image, { kvm: false, limits: { ...none, weights: true } })).toContain(weight);
  const without = domainXml(spec, image, { kvm: false, limits: all });
  for (const word of ['iotune', 'blkiotune']) expect(without).not.toContain(word);
});

test('what matters of a machine that is to be moved is the same wherever its files are, and whoever starts it', () => {
  const dataDisks = [
    { name: 'd', path: '/d/disk-d.qcow2' },
    { name: 'e', path: '/d/disk-e.qcow2' },
  ];
  const here = readMovableXml(domainXml({ ...spec, dataDisks }, image, emulated));
  const disks = [
    { target: 'vda', path: '/d/root.qcow2', stands: true },
    { target: 'vdc', path: '/d/disk-d.qcow2', stands: false },
    { target: 'vdd', path: '/d/disk-e.qcow2', stands: false },
  ];
  expect(here).toMatchObject({ cores: 2, memoryMiB: 96, macs: ['52:54:00:00:00:01'], dataDisks: ['d', 'e'], disks });
  expect(here.volumes).toBe(false);
  expect(disks.map(({ target }) => target)).toEqual(copiedDisks({ ...spec, dataDisks }));
  const elsewhere = { rootDisk: '/e/root.qcow2', attempt: 8, vncSocket: '/e/vnc', consoleLog: '/e/console.log' };
  const there = readMovableXml(domainXml({ ...spec, ...elsewhere, dataDisks }, { ...image, path: '/e/i' }, emulated));
  expect({ ...there, disks: [] }).toEqual({ ...here, disks: [] });
  const other = readMovableXml(domainXml({ ...spec, dataDisks, seedRemovable: true }, image, emulated));
  expect(other.devices).not.toEqual(here.devices);
  expect(readMovableXml(domainXml(spec, image, { ...emulated, kvm: true })).devices).toContain('kvm');
});

test('volumes are told from the disks of a machine, and a disk that stands on nothing from one that stands on its image', () => {
  for (const type of ['SharedFilesystem', 'Disk'] as const) {
    const volumes = [{ name: 'v', type, path: '/v' }];
    expect(readMovableXml(domainXml({ ...spec, volumes }, image, emulated))).toMatchObject({ volumes: true });
  }
  expect(readMovableXml(domainXml(spec, undefined, emulated)).disks).toMatchObject([{ stands: false }]);
});

test('a machine type that another host tells is one, or is refused', () => {
  const of = (machine: string) => domainXml(spec, image, { ...emulated, machine });
  expect(readMachineType(of('pc-i440fx-7.2'))).toBe('pc-i440fx-7.2');
  expect(readMachineType(domainXml(spec, image, emulated))).toBe('pc');
  for (const wrong of ['', 'q35', 'pc-i440fx-7.2,accel=kvm', 'pc"/>', 'pc\n', 'pc-i440fx-7.2.1'])
    expect(() => of(wrong), wrong).toThrow(TypeError);
});

test('capabilities tell what a short machine type stands for', () => {
  const arch = (name: string, machine: string) =>
    `<guest><arch name="${name}"><machine maxCpus="1">none</machine>${machine}</arch></guest>`;
  const both = `${arch('i686', '<machine canonical="old">pc</machine>')}${arch('x86_64', '<machine canonical="pc-i440fx-7.2" maxCpus="255">pc</machine>')}`;
  const capabilities = `<capabilities><host/>${both}</capabilities>`;
  expect(canonicalMachine(capabilities, 'pc')).toBe('pc-i440fx-7.2');
  expect(canonicalMachine(capabilities, 'pc-i440fx-6.0')).toBe('pc-i440fx-6.0');
  expect(canonicalMachine('<capabilities/>', 'pc')).toBe('pc');
});
