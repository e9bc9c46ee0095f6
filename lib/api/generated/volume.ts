// Generated from crds/volumes.yaml by hack/generate-types.ts. Do not edit: make generate.
import type { Condition, Kind, KubeObject } from '../meta.ts';

/** A directory for many machines, or a disk for one at a time, on GlusterFS; it outlives the machines. */
export interface Volume extends KubeObject {
  readonly spec: VolumeSpec;
  readonly status?: VolumeStatus;
}

export interface VolumeSpec {
  /** The Cluster that it is in; volumes do not span data centers. Immutable. */
  readonly cluster: string;
  /** SharedFilesystem: a directory that many machines see at once. Disk: a disk that one machine at a time has. Immutable. Default: "SharedFilesystem". */
  readonly type: 'SharedFilesystem' | 'Disk';
  /** The directory's quota, or the size of the disk, at least 1Mi. It may grow. */
  readonly size: string;
  /** Who may have it at once: many to write (RWX, of a SharedFilesystem, if left out), one (RWO, of a Disk, if left out), or many to read (ROX). RWX and RWO may become ROX, which stays. */
  readonly accessMode?: 'RWX' | 'ROX' | 'RWO';
  /** What a Disk has on it when it is made: what one of these has. Without it a Disk is empty. Immutable. */
  readonly sources?: {
    /** An Image that is in the Cluster. */
    readonly image?: {
      /** Name of the Image. */
      readonly name: string;
      /** Its namespace, if it is not this one; cf-public. */
      readonly namespace?: string;
    };
    /** A VMSnapshot whose data are in the Cluster. */
    readonly snapshot?: {
      /** Name of the VMSnapshot. */
      readonly name: string;
    };
    /** Another Disk of the Cluster. It is copied when no machine has it to write, and no machine gets it until that is done. */
    readonly volume?: {
      /** Name of the Volume. */
      readonly name: string;
    };
  };
  /** Where it is kept. Immutable. */
  readonly backend: {
    /** On GlusterFS. */
    readonly gluster: {
      /** Gluster volume. The configuration of the cluster's hosts has to allow its use. */
      readonly volume: string;
    };
    /** Make a Disk also where Gluster keeps fewer than three copies (or two and an arbiter), or writes without a quorum. Default: false. */
    readonly allowUnsafe: boolean;
  };
  /** How guests reach a SharedFilesystem; Virtiofs if left out. Immutable. */
  readonly guestAccess?: 'Virtiofs' | 'NFS' | 'SMB' | 'GlusterNative';
  /** Whether the data stays on the Gluster volume when this object is deleted. Default: "Retain". */
  readonly reclaimPolicy: 'Retain' | 'Delete';
}

export interface VolumeStatus {
  /** metadata.generation that this status speaks of. */
  readonly observedGeneration?: number;
  /** What holds of this object and why, one entry per type. */
  readonly conditions?: readonly Condition[];
  /** Where it is; for people. */
  readonly phase?: 'Pending' | 'Provisioning' | 'Bound' | 'Resizing' | 'Degraded' | 'Failed' | 'Terminating';
  /** Who may have it at once. It becomes ROX when no machine has it to write any more. */
  readonly accessMode?: 'RWX' | 'ROX' | 'RWO';
  /** Its size, once it is there. */
  readonly capacity?: string;
  /** Machines that have it, running or not. */
  readonly attachments?: {
    /** How many. */
    readonly count: number;
    /** Some of their names. */
    readonly examples?: readonly string[];
  };
  /** The machine that a Disk was given to, until that is proven gone. It stays here, as the last one, until the next. */
  readonly writer?: {
    /** uid of the machine. */
    readonly uid: string;
    /** Its name. */
    readonly name: string;
    /** Grows with every machine that gets the disk; hosts let no older one write. */
    readonly grant: number;
    /** Its live attempt, if it has one. */
    readonly attempt?: number;
    /** Where that is. */
    readonly host?: string;
    /** That host is not reached, so nobody knows whether the machine still writes. */
    readonly unreachable?: boolean;
    /** It is no machine but a Volume that a copy is made into. Nobody writes meanwhile. */
    readonly copies?: boolean;
  };
  /** What spec.sources was found to be. Hosts copy from there until the Volume is made. */
  readonly source?: {
    /** Of an image or a snapshot: sha256 of its file in the image store of the Cluster. */
    readonly digest?: string;
    /** Format of that file. */
    readonly format?: 'qcow2' | 'raw';
    /** uid of a Volume. */
    readonly uid?: string;
    /** Gluster volume that it is on. */
    readonly glusterVolume?: string;
    /** By which it was given to be copied. Without it, it is ROX. */
    readonly grant?: number;
    /** Bytes as a guest sees it. */
    readonly virtualSize: number;
  };
  /** Nobody uses it any more, and its data is to go. */
  readonly removal?: 'Wanted';
  /** Bytes that it takes, as hosts see them. Written by the cluster server. */
  readonly used?: string;
  /** What hosts did about it. Written by the cluster server. */
  readonly backend?: {
    /** How far it is. */
    readonly state: 'Waiting' | 'Making' | 'Made' | 'Removing' | 'Removed';
    /** The size that is there. */
    readonly size?: string;
    /** The host that does it, or did it last. */
    readonly host?: string;
    /** Percent of what is copied from its source. */
    readonly progress?: number;
    /** Tries that failed since the last success. */
    readonly failures?: number;
    /** Not before. */
    readonly retryAfter?: string;
    /** Reason word of the last failure. */
    readonly reason?: string;
    /** Why it is not further. */
    readonly message?: string;
  };
  /** What hosts did about a size that is wanted and not there yet. Written by the cluster server. */
  readonly resize?: {
    /** How far it is. */
    readonly state: 'Waiting' | 'Making';
    /** The host that does it, or did it last. */
    readonly host?: string;
    /** Tries that failed since the last success. */
    readonly failures?: number;
    /** Not before. */
    readonly retryAfter?: string;
    /** Reason word of the last failure. */
    readonly reason?: string;
    /** Why it is not further. */
    readonly message?: string;
  };
  /** The Gluster volume as the hosts see it that have it mounted, the worst of them. Written by the cluster server. */
  readonly health?: {
    /** Healthy, or one word. */
    readonly reason: string;
    /** Details. */
    readonly message?: string;
    /** Hosts that have it mounted. */
    readonly hosts: number;
    /** Bricks that the worst of them reaches. */
    readonly bricksOnline?: number;
    /** All bricks. */
    readonly bricksTotal?: number;
    /** Files of the Gluster volume that wait to be healed. */
    readonly healPending?: number;
    /** Files of the Gluster volume of which it does not know which copy is right. */
    readonly splitBrain?: number;
  };
}

export const Volume: Kind<Volume> = {
  group: 'computefactory.io',
  version: 'v1alpha1',
  kind: 'Volume',
  plural: 'volumes',
  singular: 'volume',
  shortNames: [
    'vol'
  ],
  namespaced: true,
  selectableFields: [
    'spec.cluster'
  ]
};
