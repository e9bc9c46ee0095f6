/** What a guest is told at its first boot, as the files of one small disk; which files, is a matter of who reads them. Pure. */
import type { MachineLaunch, SeedFormat, SeedSecrets } from '#lib/api/launch.ts';
import { configDrive } from './config-drive.ts';
import { noCloud } from './nocloud.ts';
import { sysprep } from './sysprep.ts';

export interface Seed {
  /** Name of the file system: readers find it by that. */
  readonly label: string;
  /** Content by path. */
  readonly files: Readonly<Record<string, string>>;
}

/** A launch whose secret parts, if there are any, stand in their places. */
export type SeedContent = MachineLaunch & Omit<SeedSecrets, 'sshKeys'>;

const writers: Readonly<Record<SeedFormat, (content: SeedContent) => Seed>> = {
  CloudInit: noCloud,
  ConfigDrive: configDrive,
  CloudbaseInit: configDrive,
  Sysprep: sysprep,
};

/** Throws an Error that names the field whose value no reader could be given unchanged. */
export function seedOf(launch: MachineLaunch, secrets: SeedSecrets = {}): Seed {
  const sshKeys = [...launch.sshKeys, ...(secrets.sshKeys ?? [])];
  return writers[launch.seedFormat ?? 'CloudInit']({ ...launch, ...secrets, sshKeys });
}

/** Windows Setup looks for answer files on removable drives only; all others read a plain disk. */
export function isRemovable({ seedFormat }: MachineLaunch): boolean {
  return seedFormat === 'Sysprep';
}
