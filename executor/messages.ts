/**
 * Reads what Mesos hands us of the cluster server's words: launches and framework messages. Both come from another machine, so the
 * fields that end in a path, a command or a decision are checked here, once.
 */
import { isIPv4 } from 'node:net';
import { readExecRequest } from '#lib/api/exec.ts';
import { digestPattern } from '#lib/api/image-digests.ts';
import type {
  DiskLimits,
  HttpProbe,
  Launch,
  LaunchProbe,
  MachineDisk,
  MachineVolume,
  SeedFormat,
  SeedSecrets,
  VolumeOnHost,
  VolumeSource,
} from '#lib/api/launch.ts';
import type {
  DiskOrder,
  MigrateOrder,
  MigrationEndOrder,
  OperationOrder,
  OperationType,
  PeersOrder,
  PolicyOrder,
  SchedulerMessage,
  SeedOrder,
  VolumeListOrder,
  VolumeOrder,
} from '#lib/api/messages.ts';
import { parseTaskId } from '#lib/api/names.ts';
import { decodeData } from '#mesos/bytes.ts';
import type { TaskInfo } from '#mesos/types.ts';

const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
const diskName = /^[a-z0-9]([-a-z0-9]{0,18}[a-z0-9])?$/;

/** Throws Error saying what is wrong: such a launch can never work, whoever repeats it. */
export function parseLaunch(task: TaskInfo): Launch {
  if (task.data === undefined) throw new Error('The task carries no data');
  const launch = decodeData(task.data) as Launch;
  if (![1, 2, 3, 4, 5, 6, 7].includes(launch?.version))
    throw new Error(`Version ${launch?.version} of a launch is not known to this executor`);
  const id = parseTaskId(task.task_id.value);
  if (
    launch.taskId !== task.task_id.value ||
    id?.uid !== launch.uid ||
    id.type !== (launch.type === 'look' ? 'image' : launch.type)
  )
    throw new Error(`The launch is for task ${launch.taskId} of ${launch.type} ${launch.uid}, not for this one`);
  if (!uuid.test(launch.uid)) throw new Error(`"${launch.uid}" is not a uid`);
  if (launch.type === 'machine') checkMachine(launch);
  return launch;
}

function checkMachine(launch: Launch & { type: 'machine' }): void {
  if (!digestPattern.test(launch.image?.digest))
    throw new Error(`"${launch.image?.digest}" is not a digest of an image`);
  const { format } = launch.image;
  if (format !== 'qcow2' && format !== 'raw') throw new Error(`"${format}" is not the format of an image`);
  const sizes = { cores: launch.cores, memoryMiB: launch.memoryMiB, rootDiskBytes: launch.rootDiskBytes };
  for (const [name, value] of Object.entries({ ...sizes, terminationGraceMs: launch.terminationGraceMs })) {
    if (!Number.isSafeInteger(value) || value < 0) throw new Error(`${name} is ${value}, not a whole number`);
  }
  if (launch.seedFormat !== undefined && !seedFormats.includes(launch.seedFormat))
    throw new Error(`"${launch.seedFormat}" is not the format of a seed`);
  if (!Array.isArray(launch.networks) || !Array.isArray(launch.sshKeys))
    throw new Error('networks or sshKeys is missing');
  for (const probe of [launch.readiness, launch.liveness, launch.startup]) if (probe !== undefined) checkProbe(probe);
  const { selfFenceMs } = launch;
  if (selfFenceMs !== undefined && !(Number.isSafeInteger(selfFenceMs) && selfFenceMs > 0))
    throw new Error(`selfFenceMs is ${selfFenceMs}, not a number of milliseconds`);
  checkDisks(launch);
  checkIncoming(launch);
  const { volumes = [] } = launch;
  if (!Array.isArray(volumes)) throw new Error('volumes is not a list');
  for (const volume of volumes as readonly Partial<MachineVolume>[]) {
    const { name, grant, mountPath, readOnly } = volume;
    const isRight = typeof name === 'string' && (mountPath === undefined || typeof mountPath === 'string');
    const isDisk = volume.type === 'Disk';
    const isGiven = grant === undefined ? !isDisk || readOnly === true : isDisk && Number.isSafeInteger(grant);
    if (!isVolume(volume) || !isRight || !isGiven || (readOnly !== undefined && readOnly !== true))
      throw new Error(`"${name}" is not a volume`);
  }
}

/** Its disks are sent with it. What cannot be sent is refused here too: who took it for a start would begin a second life. */
function checkIncoming(launch: Launch & { type: 'machine' }): void {
  const { incoming, version, adopt, attempt, volumes = [] } = launch;
  if (incoming === undefined) return;
  const { migration, from, timeoutMs } = incoming;
  const isRight = isPlainId(migration) && isCount(from) && from < attempt && isCount(timeoutMs);
  if (!isRight || version < 7)
    throw new Error(`${JSON.stringify(incoming)} of a launch of version ${version} is no migration`);
  if (adopt || volumes.length > 0)
    throw new Error('A machine that comes from another host is not adopted, and has no volumes');
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && Number(value) > 0;
}

/** It becomes a part of a path. */
function isPlainId(value: unknown): value is string {
  return typeof value === 'string' && uuid.test(value);
}

/** Names become names of files and serial numbers. */
function checkDisks({ disks = [], rootDiskLimits, ioWeight }: Launch & { type: 'machine' }): void {
  if (!Array.isArray(disks)) throw new Error('disks is not a list');
  for (const { name, bytes, limits } of disks as readonly Partial<MachineDisk>[]) {
    const isRight = typeof name === 'string' && diskName.test(name) && Number.isSafeInteger(bytes) && Number(bytes) > 0;
    if (!isRight || !areLimits(limits)) throw new Error(`${JSON.stringify(name)} is not a data disk`);
  }
  if (new Set(disks.map(({ name }) => name)).size < disks.length) throw new Error('Two data disks have the same name');
  if (!areLimits(rootDiskLimits)) throw new Error('rootDiskLimits are not limits of a disk');
  if (ioWeight !== undefined && !(Number.isInteger(ioWeight) && ioWeight >= 100 && ioWeight <= 1000))
    throw new Error(`ioWeight is ${ioWeight}, not a whole number from 100 to 1000`);
}

function areLimits(limits: DiskLimits | undefined): boolean {
  const { bytesPerSecond = 1, requestsPerSecond = 1 } = limits ?? {};
  return [bytesPerSecond, requestsPerSecond].every((each) => Number.isSafeInteger(each) && each > 0);
}

function isVolume({ uid = '', type, glusterVolume, bytes }: Partial<VolumeOnHost>): boolean {
  const isKnown = type === 'SharedFilesystem' || type === 'Disk';
  return uuid.test(uid) && isKnown && typeof glusterVolume === 'string' && Number.isSafeInteger(bytes);
}

function isSource(source: Partial<Extract<VolumeSource, { digest: string }> & Extract<VolumeSource, { uid: string }>>) {
  const { digest, format, uid = '', glusterVolume, grant = 0 } = source;
  if (digest !== undefined) return digestPattern.test(digest) && (format === 'qcow2' || format === 'raw');
  return uuid.test(uid) && typeof glusterVolume === 'string' && Number.isSafeInteger(grant);
}

function isVolumeList({ id, installation, glusterVolume, known }: Partial<VolumeListOrder>): boolean {
  const isRight = [id, installation, glusterVolume].every((text) => typeof text === 'string');
  return isRight && Array.isArray(known) && known.every((digits) => typeof digits === 'string');
}

function isVolumeOrder({ id, order, installation, volume, source }: Partial<VolumeOrder>): boolean {
  return (
    typeof id === 'string' &&
    (order === 'make' || order === 'remove' || order === 'discard' || (order === 'fill' && isSource({ ...source }))) &&
    typeof installation === 'string' &&
    isVolume({ ...volume })
  );
}

function checkProbe({ command, tcp, http, ...times }: LaunchProbe): void {
  const { initialDelayMs, periodMs, timeoutMs, successThreshold, failureThreshold } = times;
  const numbers = { initialDelayMs, periodMs, timeoutMs, successThreshold, failureThreshold };
  for (const [name, value] of Object.entries(numbers))
    if (!Number.isFinite(value) || value < 0) throw new Error(`${name} of the probe is ${value}, not a number`);
  if (command !== undefined) readExecRequest({ command });
  if (tcp !== undefined) checkPort(tcp.port);
  if (http !== undefined) checkHttp(http);
}

function checkPort(port: unknown): void {
  if (!Number.isInteger(port) || Number(port) < 1 || Number(port) > 65_535)
    throw new Error(`Port ${port} of the probe is none`);
}

/** It becomes the head of a request, whose separators are spaces and line ends. */
function checkHttp({ port, path, scheme, headers }: Partial<HttpProbe>): void {
  checkPort(port);
  if (!/^\/[!-~]*$/.test(path ?? '')) throw new Error(`Path ${JSON.stringify(path)} of the probe is none`);
  if (scheme !== 'HTTP' && scheme !== 'HTTPS') throw new Error(`Scheme ${scheme} of the probe is not known`);
  if (!Array.isArray(headers)) throw new Error('headers of the probe is not a list');
  for (const { name, value } of headers)
    if (!/^[-A-Za-z0-9]+$/.test(name) || !/^[ -~]*$/.test(value))
      throw new Error(`Header ${JSON.stringify(name)} of the probe is none`);
}

const seedFormats: readonly unknown[] = ['CloudInit', 'ConfigDrive', 'CloudbaseInit', 'Sysprep'] satisfies SeedFormat[];

const operations: readonly unknown[] = [
  'Start',
  'Stop',
  'Restart',
  'Reset',
  'Pause',
  'Resume',
] satisfies OperationType[];

function isOrder(message: Partial<OperationOrder>): message is OperationOrder {
  return (
    typeof message.id === 'string' &&
    uuid.test(message.uid ?? '') &&
    operations.includes(message.operation) &&
    Number.isFinite(message.timeoutMs)
  );
}

const consistencies: readonly unknown[] = ['Quiesced', 'CrashConsistent', 'QuiescedOrCrash'] satisfies Extract<
  DiskOrder,
  { order: 'Snapshot' }
>['consistency'][];

/** Its words become names of files. */
function isDiskOrder(message: Readonly<Record<string, unknown>>): boolean {
  const { id, uid, snapshot, order, attempt, consistency, timeoutMs } = message;
  const isUuid = (value: unknown): boolean => typeof value === 'string' && uuid.test(value);
  if (typeof id !== 'string' || !isUuid(uid) || !isUuid(snapshot) || !Number.isFinite(timeoutMs)) return false;
  switch (order) {
    case 'Snapshot':
      return Number.isSafeInteger(attempt) && consistencies.includes(consistency);
    case 'Restore':
      return Number.isSafeInteger(attempt) && typeof message.digest === 'string' && digestPattern.test(message.digest);
    default:
      return order === 'Discard';
  }
}

function isPeersOrder(message: Partial<PeersOrder>): message is PeersOrder {
  const { id, subnets } = message;
  const isSubnet = (each: Partial<PeersOrder['subnets'][number]>): boolean =>
    Number.isInteger(each?.vni) && Array.isArray(each.peers) && each.peers.every((peer) => isIPv4(peer));
  return typeof id === 'string' && Array.isArray(subnets) && subnets.every(isSubnet);
}

/** They become names of files. */
function areDigests(digests: readonly unknown[] | undefined): boolean {
  return Array.isArray(digests) && digests.every((each) => typeof each === 'string' && digestPattern.test(each));
}

const onShutdown: readonly unknown[] = ['Restart', 'Stop', 'Finish'] satisfies PolicyOrder['onGuestShutdown'][];
const onCrash: readonly unknown[] = ['Restart', 'Stop', 'Fail'] satisfies PolicyOrder['onGuestCrash'][];

function isPolicyOrder(message: Partial<PolicyOrder>): message is PolicyOrder {
  const { uid = '', attempt, onGuestShutdown, onGuestCrash } = message;
  return (
    uuid.test(uid) &&
    Number.isInteger(attempt) &&
    onShutdown.includes(onGuestShutdown) &&
    onCrash.includes(onGuestCrash)
  );
}

function isSeedOrder(message: Partial<SeedOrder>): message is SeedOrder {
  const { uid = '', attempt, sealed } = message;
  return uuid.test(uid) && Number.isSafeInteger(attempt) && typeof sealed === 'string';
}

function isMigrateOrder(message: Partial<MigrateOrder>): message is MigrateOrder {
  const { id, uid = '', attempt, to, timeoutMs } = message;
  const { hostname, url, certificateSha256, token } = (to ?? {}) as Partial<MigrateOrder['to']>;
  const isEndpoint =
    typeof hostname === 'string' &&
    typeof url === 'string' &&
    URL.parse(url)?.protocol === 'https:' &&
    typeof certificateSha256 === 'string' &&
    /^[0-9a-f]{64}$/.test(certificateSha256) &&
    typeof token === 'string' &&
    /^[-\w]{1,200}$/.test(token);
  return isPlainId(id) && uuid.test(uid) && isCount(attempt) && isCount(timeoutMs) && isEndpoint;
}

function isMigrationEndOrder({ id, uid = '', gone, message }: Partial<MigrationEndOrder>): boolean {
  return isPlainId(id) && uuid.test(uid) && typeof gone === 'boolean' && typeof message === 'string';
}

/** The parser's own words would quote the text. */
function quietly(text: string): SeedSecrets {
  try {
    return JSON.parse(text) as SeedSecrets;
  } catch {
    throw new Error('The secrets of the seed are not JSON');
  }
}

/** What was sealed. Throws Error without a word of it. */
export function parseSecrets(text: string): SeedSecrets {
  const { userData, networkData, adminPassword, sshKeys = [] } = quietly(text);
  const isText = (value: unknown): boolean => value === undefined || typeof value === 'string';
  const isRight =
    [userData, networkData, adminPassword].every(isText) && Array.isArray(sshKeys) && sshKeys.every(isText);
  if (!isRight) throw new Error('The secrets of the seed have another form than this executor knows');
  return {
    ...(userData === undefined ? {} : { userData }),
    ...(networkData === undefined ? {} : { networkData }),
    ...(adminPassword === undefined ? {} : { adminPassword }),
    sshKeys,
  };
}

/** Undefined for what this version does not know: an older executor must not fall over a newer cluster server. */
export function parseMessage(data: string): SchedulerMessage | undefined {
  const message = decodeData(data) as Partial<SchedulerMessage> | null;
  if (message?.version !== 1) return undefined;
  switch (message.type) {
    case 'operation':
      return isOrder(message) ? message : undefined;
    case 'disk':
      return isDiskOrder(message as Readonly<Record<string, unknown>>) ? (message as SchedulerMessage) : undefined;
    case 'ack':
      return Array.isArray(message.operations) ? (message as SchedulerMessage) : undefined;
    case 'inventory':
      return message as SchedulerMessage;
    case 'migrate':
      return isMigrateOrder(message) ? message : undefined;
    case 'migration-end':
      return isMigrationEndOrder(message) ? (message as SchedulerMessage) : undefined;
    case 'peers':
      return isPeersOrder(message) ? message : undefined;
    case 'images':
      return typeof message.id === 'string' && areDigests(message.digests) ? (message as SchedulerMessage) : undefined;
    case 'collect':
      return typeof message.store === 'boolean' && areDigests(message.digests)
        ? (message as SchedulerMessage)
        : undefined;
    case 'policy':
      return isPolicyOrder(message) ? message : undefined;
    case 'seed':
      return isSeedOrder(message) ? message : undefined;
    case 'volume-list':
      return isVolumeList(message) ? (message as SchedulerMessage) : undefined;
    case 'volume':
      return isVolumeOrder(message) ? (message as SchedulerMessage) : undefined;
    case 'cleanup':
    case 'drop-uploads':
      return Array.isArray(message.uids) && message.uids.every((uid) => uuid.test(uid))
        ? (message as SchedulerMessage)
        : undefined;
    default:
      return undefined;
  }
}
