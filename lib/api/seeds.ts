/** What of a machine's spec becomes its seed. Pure. */
import type { Secret } from './core.ts';
import type { Image } from './generated/image.ts';
import type { VirtualMachine } from './generated/virtualmachine.ts';
import type { SeedFormat, SeedSecrets } from './launch.ts';

type Spec = VirtualMachine['spec'];
type OsType = Image['spec']['osType'];

const sysprepRefuses = ['networkData', 'networkDataSecretRef', 'sshKeys', 'sshKeySecretRefs'] as const;

/** Why no seed can be made of this spec, and what to do; undefined if one can. */
export function seedRefusal(spec: Spec, osType: OsType): string | undefined {
  if (spec.format === 'Ignition')
    return 'Seeds for Ignition are not made. Images of Ignition for OpenStack read theirs from a config drive: use format: ConfigDrive';
  if (seedFormatOf(spec, osType) !== 'Sysprep') return undefined;
  const foreign = sysprepRefuses.find((field) => spec[field] !== undefined);
  return foreign && `Windows Setup takes no ${foreign} from an answer file. Leave it out, or use format: CloudbaseInit`;
}

/** Only for specs that are not refused. */
export function seedFormatOf({ format = 'Auto' }: Spec, osType: OsType): SeedFormat {
  if (format === 'Auto' || format === 'Ignition') return osType === 'Windows' ? 'CloudbaseInit' : 'CloudInit';
  return format;
}

interface SecretRef {
  readonly name: string;
  readonly key?: string;
}

/** Names of the Secrets, of the machine's own namespace, that its seed needs. */
export function secretNames(spec: Spec): readonly string[] {
  return [...new Set(secretRefs(spec).map(({ name }) => name))];
}

function secretRefs({ userDataSecretRef, networkDataSecretRef, sshKeySecretRefs, adminPasswordSecretRef }: Spec) {
  const refs: readonly (SecretRef | undefined)[] = [
    ...[userDataSecretRef, networkDataSecretRef, adminPasswordSecretRef],
    ...(sshKeySecretRefs ?? []),
  ];
  return refs.filter((ref) => ref !== undefined);
}

/** Of one Secret that a seed takes something from. */
const bytesMax = 512 * 1024;

/** Why the secrets of a seed cannot be had; the message names Secret and key, never what is in them. */
export class SeedSecretError extends Error {
  readonly reason: 'SecretNotFound' | 'Failed';

  constructor(reason: 'SecretNotFound' | 'Failed', message: string) {
    super(message);
    this.reason = reason;
  }
}

/** Throws SeedSecretError for the first that is missing or of no use. */
export function seedSecrets(spec: Spec, secretOf: (name: string) => Secret | undefined): SeedSecrets {
  const text = (ref: SecretRef | undefined, usualKey: string) => ref && textIn(ref, usualKey, secretOf(ref.name));
  const userData = text(spec.userDataSecretRef, 'userData');
  const networkData = text(spec.networkDataSecretRef, 'networkData');
  // The line end that most editors leave behind is no part of a password.
  const adminPassword = text(spec.adminPasswordSecretRef, 'password')?.replace(/\r?\n$/, '');
  const sshKeys = (spec.sshKeySecretRefs ?? []).flatMap((ref) => keysIn(text(ref, 'authorizedKeys')!));
  return {
    ...(userData === undefined ? {} : { userData }),
    ...(networkData === undefined ? {} : { networkData }),
    ...(adminPassword === undefined ? {} : { adminPassword }),
    ...(sshKeys.length === 0 ? {} : { sshKeys }),
  };
}

function textIn({ name, key: ownKey }: SecretRef, usualKey: string, secret: Secret | undefined): string {
  const key = ownKey ?? usualKey;
  const goesOn = 'It goes on by itself once somebody creates it';
  if (!secret) throw new SeedSecretError('SecretNotFound', `Secret "${name}" does not exist. ${goesOn}`);
  const value = secret.data?.[key];
  if (value === undefined)
    throw new SeedSecretError('SecretNotFound', `Secret "${name}" has no key "${key}". ${goesOn}`);
  const bytes = Buffer.from(value, 'base64');
  if (bytes.length > bytesMax)
    throw new SeedSecretError(
      'Failed',
      `Key "${key}" of Secret "${name}" has ${bytes.length} bytes: ${bytesMax} at most`,
    );
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new SeedSecretError('Failed', `Key "${key}" of Secret "${name}" is no text in UTF-8`);
  }
}

/** As in authorized_keys: one a line, comments aside. */
function keysIn(text: string): readonly string[] {
  return text
    .split(/\r?\n/)
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'));
}
