/** Words that several programs must agree on. Some are typed by users (docs/architecture.md): do not change those silently. */
export const group = 'computefactory.io';
export const version = 'v1alpha1';

/** Namespace of our own leases, secrets and config maps. Its uid names the installation. */
export const systemNamespace = 'cf-system';
/** Images here are readable from every namespace. */
export const publicNamespace = 'cf-public';

/** Groups of the credentials of our own programs, which the API server gives the roles of the same names. */
export const programGroups = {
  controllers: 'system:computefactory:controllers',
  clusterServer: 'system:computefactory:cluster-server',
} as const;

/** Whom the credential of a cluster server stands for. By this name the API server knows what is bound to it. */
export function clusterServerUser(cluster: string): string {
  return `${programGroups.clusterServer}:${cluster}`;
}

/** In the system namespace: which of the cluster servers of one Cluster leads. */
export function clusterServerLease(cluster: string): string {
  return `cluster-server-${cluster}`;
}

export const labels = {
  factory: 'computefactory.io/factory',
  pool: 'computefactory.io/pool',
  ordinal: 'computefactory.io/ordinal',
  revision: 'computefactory.io/revision',
  cluster: 'computefactory.io/cluster',
  shape: 'computefactory.io/shape',
  instanceType: 'computefactory.io/instance-type',
  /** On a machine of a pool: uid of the one that it stands in for, whose host did not answer. */
  replaces: 'computefactory.io/replaces',
} as const;

export const annotations = {
  scaleInProtection: 'computefactory.io/scale-in-protection',
  deleteFirst: 'computefactory.io/delete-first',
  deletionCost: 'computefactory.io/deletion-cost',
  restartedAt: 'computefactory.io/restarted-at',
  confirmedDead: 'computefactory.io/confirmed-dead',
  /** On a Cluster: so many tasks and domains without a machine may be removed at once; somebody has looked. */
  removeOrphans: 'computefactory.io/remove-orphans',
  /** On a Cluster: uids, with commas between them, of what no Volume is any more; its data may go, somebody has looked. */
  removeVolumes: 'computefactory.io/remove-volumes',
  /** On a machine of a pool, by the pool: the attempt with this number may leave its host for a drain. */
  drainGranted: 'computefactory.io/drain-granted',
  /** On a machine that was made from a snapshot: uid of the VMRestore. */
  restoredBy: 'computefactory.io/restored-by',
} as const;

export const finalizers = {
  /** On a VirtualMachine from its creation; removed by the virtualmachine controller when the attempt is proven gone. */
  vmCleanup: 'computefactory.io/vm-cleanup',
  subnetInUse: 'computefactory.io/subnet-in-use',
  imageInUse: 'computefactory.io/image-in-use',
  volumeInUse: 'computefactory.io/volume-in-use',
  /** On an IPLease whose holder is gone and may run on a host that does not answer. */
  hostCleanup: 'computefactory.io/host-cleanup',
  snapshotCleanup: 'computefactory.io/snapshot-cleanup',
} as const;

/** Mesos task of one attempt of one machine. */
export function machineTaskId(uid: string, attempt: number): string {
  return `vm-${uid}-${attempt}`;
}

/** Mesos task of one import of one image. */
export function imageTaskId(uid: string, attempt: number): string {
  return `img-${uid}-${attempt}`;
}

/** Takes apart a task id of ours; undefined for any other. */
export function parseTaskId(taskId: string): { type: 'machine' | 'image'; uid: string; attempt: number } | undefined {
  const match = /^(vm|img)-([0-9a-f-]{36})-(\d+)$/.exec(taskId);
  return match
    ? { type: match[1] === 'vm' ? 'machine' : 'image', uid: match[2]!, attempt: Number(match[3]) }
    : undefined;
}

/** libvirt's name of a machine's domain. Its UUID is the machine's uid. */
export function domainName(uid: string): string {
  return `cf-${uid}`;
}

/** Name of the IPLease of an address: the store's create-if-absent makes the address unique. */
export function leaseName(subnet: string, ip: string): string {
  return `${subnet}-${ip.replaceAll('.', '-')}`;
}

/** Name of the Image by which new machines stand on a snapshot. */
export function snapshotImageName(snapshot: string): string {
  return `snapshot-${snapshot}`;
}

/** Name of the Host object of one host of one cluster. */
export function hostObjectName(cluster: string, hostname: string): string {
  return `${cluster}-${hostname.toLowerCase()}`;
}

const consoleSecretPrefix = 'console-';

/** Secret in the system namespace that opens the consoles of a host. */
export function consoleSecretName(hostObject: string): string {
  return `${consoleSecretPrefix}${hostObject}`;
}

/** Name of the Host whose consoles the Secret opens; undefined if it is none of these. */
export function hostOfConsoleSecret(secret: string): string | undefined {
  return secret.startsWith(consoleSecretPrefix) ? secret.slice(consoleSecretPrefix.length) : undefined;
}
