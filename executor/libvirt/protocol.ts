/** Numbers and structures of libvirt's remote protocol (remote_protocol.x and virnetprotocol.x), as far as we use it. */

import type { XdrReader } from './xdr.ts';
import * as xdr from './xdr.ts';

export const remoteProgram = 0x20008086;
/** Calls that only QEMU's driver has (qemu_protocol.x). */
export const qemuProgram = 0x20008087;
export const keepaliveProgram = 0x6b656570;
export const protocolVersion = 1;
export const keepalive = { ping: 1, pong: 2 } as const;
export const messageType = { call: 0, reply: 1, message: 2, stream: 3 } as const;
/** What a message says of itself; a stream goes on with `continue`. */
export const messageStatus = { ok: 0, error: 1, continue: 2 } as const;

export const procedure = {
  connectOpen: 1,
  connectGetVersion: 4,
  connectGetCapabilities: 7,
  domainCreate: 9,
  domainDefineXml: 11,
  domainGetXmlDesc: 14,
  domainLookupByUuid: 24,
  domainReboot: 27,
  domainResume: 28,
  domainSuspend: 34,
  connectSupportsFeature: 60,
  domainBlockStats: 64,
  authList: 66,
  domainIsPersistent: 151,
  connectGetLibVersion: 157,
  domainAbortJob: 164,
  domainUpdateDeviceFlags: 174,
  domainScreenshot: 211,
  domainGetState: 212,
  domainUndefineFlags: 231,
  domainDestroyFlags: 234,
  domainReset: 245,
  domainShutdownFlags: 258,
  connectListAllDomains: 273,
  domainGetJobStats: 298,
  domainMigrateBegin3Params: 302,
  domainMigratePrepare3Params: 303,
  domainMigratePerform3Params: 305,
  domainMigrateFinish3Params: 306,
  domainMigrateConfirm3Params: 307,
  domainEventCallbackRegisterAny: 316,
  domainEventCallbackLifecycle: 318,
  domainEventCallbackReboot: 319,
  domainEventCallbackWatchdog: 321,
  domainEventCallbackIoErrorReason: 324,
  domainEventCallbackDeviceRemoved: 333,
  domainEventBlockJob2: 339,
  domainEventCallbackAgentLifecycle: 348,
  domainBackupBegin: 421,
  domainBackupGetXmlDesc: 422,
} as const;

/** Procedures of qemuProgram. */
export const qemuProcedure = { domainAgentCommand: 3 } as const;

export const featureKeepalive = 10;
/** virDomainEventID: the kinds that are asked for on every connection. */
export const eventId = {
  lifecycle: 0,
  reboot: 1,
  watchdog: 3,
  ioErrorReason: 6,
  deviceRemoved: 15,
  blockJob2: 16,
  agentLifecycle: 18,
} as const;
export const powerButton = 1;
export const xmlInactive = 2;
/** Of a change of a device: not in the stored definition. */
export const liveOnly = 1;
/** Managed save, snapshot metadata, NVRAM, checkpoint metadata: nothing of a domain may outlive its definition. */
export const undefineEverything = 1 | 2 | 4 | 16;

/** Of the statistics of a job: of the one that ended last; and they are kept. */
export const endedJob = 1;
export const completedJob = 1 | 2;
/** virDomainJobType: nothing is under way; it went well. */
export const jobType = { none: 0, completed: 3 } as const;
/** virDomainJobOperation: of jobs by which a guest leaves. */
export const migrationOut = 5;

/** virDomainMigrateFlags. */
export const migrateFlag = {
  live: 1,
  persistDestination: 8,
  paused: 32,
  /** Of a disk that stands on another only what is in itself: the other is at both hosts. */
  nonSharedIncrement: 128,
  abortOnError: 4096,
  /** Slows a guest down that writes faster than it can be sent. */
  autoConverge: 8192,
} as const;

/** Names of virTypedParameters of a migration. */
export const migrateParameter = {
  name: 'destination_name',
  xml: 'destination_xml',
  memory: 'migrate_uri',
  disks: 'disks_uri',
  disk: 'migrate_disks',
} as const;

/** virErrorNumber, the ones that decisions are made on. */
export const errorCode = {
  internal: 1,
  noDomain: 42,
  operationInvalid: 55,
  configUnsupported: 67,
  argumentUnsupported: 74,
  agentUnresponsive: 86,
  noBackup: 104,
  agentCommandTimeout: 108,
  agentCommandFailed: 109,
} as const;

/** A refusal by libvirtd. `code` is virErrorNumber. */
export class LibvirtError extends Error {
  readonly code: number;

  constructor(code: number, message: string) {
    super(message);
    this.name = 'LibvirtError';
    this.code = code;
  }
}

export function isLibvirtError(error: unknown, ...codes: readonly number[]): error is LibvirtError {
  return error instanceof LibvirtError && codes.includes(error.code);
}

/** How libvirt names a domain in every call; `id` is -1 while it is off and ignored by the server. */
export interface DomainRef {
  readonly name: string;
  readonly uuid: string;
  readonly id: number;
}

export function encodeUuid(uuid: string): Buffer {
  const bytes = Buffer.from(uuid.replaceAll('-', ''), 'hex');
  if (bytes.length !== 16) throw new TypeError(`Cannot use ${JSON.stringify(uuid)} as a UUID`);
  return bytes;
}

export function encodeDomain(domain: DomainRef): Buffer {
  return Buffer.concat([xdr.string(domain.name), encodeUuid(domain.uuid), xdr.int32(domain.id)]);
}

export function decodeDomain(reader: XdrReader): DomainRef {
  const name = reader.string();
  const hex = reader.opaque(16).toString('hex');
  const uuid = hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
  return { name, uuid, id: reader.int32() };
}

/** virTypedParameterType. */
const parameterType = { int: 1, uint: 2, llong: 3, ullong: 4, double: 5, boolean: 6, string: 7 } as const;
const parametersMax = 1024;

/** Parameters that are all text. A name may come more than once. */
export function encodeTexts(parameters: readonly (readonly [name: string, value: string])[]): Buffer {
  const encoded = parameters.map(([name, value]) =>
    Buffer.concat([xdr.string(name), xdr.int32(parameterType.string), xdr.string(value)]),
  );
  return Buffer.concat([xdr.uint32(encoded.length), ...encoded]);
}

/** Those parameters that are whole numbers, by name. Throws a RangeError for a type that nobody knows: its length is not known either. */
export function decodeNumbers(reader: XdrReader): ReadonlyMap<string, number> {
  const found = new Map<string, number>();
  reader.list(() => {
    const [name, type] = [reader.string(), reader.int32()];
    if (type === parameterType.int) found.set(name, reader.int32());
    else if (type === parameterType.uint) found.set(name, reader.uint32());
    else if (type === parameterType.ullong) found.set(name, reader.uint64());
    else if (type === parameterType.llong || type === parameterType.double) reader.opaque(8);
    else if (type === parameterType.boolean) reader.int32();
    else if (type === parameterType.string) reader.string();
    else throw new RangeError(`Cannot read a parameter of the type ${type}`);
  }, parametersMax);
  return found;
}

export function decodeError(reader: XdrReader): LibvirtError {
  const code = reader.int32();
  reader.int32(); // which part of libvirt it comes from: its message says so
  return new LibvirtError(code, reader.optional(() => reader.string()) ?? `libvirt error ${code}`);
}
