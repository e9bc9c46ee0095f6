// Generated from crds/images.yaml by hack/generate-types.ts. Do not edit: make generate.
import type { Condition, Kind, KubeObject } from '../meta.ts';

/** Bytes that machines boot from, stored by their digest. */
export interface Image extends KubeObject {
  readonly spec: ImageSpec;
  readonly status?: ImageStatus;
}

export interface ImageSpec {
  /** Where the bytes come from; exactly one. Immutable. */
  readonly source: {
    /** Fetched by a host of each cluster. */
    readonly http?: {
      /** http or https URL. */
      readonly url: string;
    };
    /** A file in the import directory of the cluster's hosts. */
    readonly file?: {
      /** Path relative to the import directory. */
      readonly path: string;
    };
    /** A file that somebody sends: factoryctl upload image, or PUT to the subresource upload. */
    readonly upload?: Readonly<Record<string, never>>;
    /** A VMSnapshot of the same namespace; nothing is copied, and it stays while this is there. */
    readonly snapshot?: {
      /** Name of the VMSnapshot. */
      readonly name: string;
    };
  };
  /** sha256:… or sha512:… of the file as fetched. */
  readonly checksum?: string;
  /** Format of the disk, which may be packed by gz, xz or zst; detected if empty, else verified. */
  readonly format?: 'qcow2' | 'raw' | 'vmdk' | 'vhd' | 'vhdx';
  /** Machines that ask for this family get the newest of its Images that is ready and not deprecated. */
  readonly family?: string;
  /** No new machine gets it by its family. Those that name it do. */
  readonly deprecated?: boolean;
  /** Kind of guest. Default: "Linux". */
  readonly osType: 'Linux' | 'Windows' | 'Other';
  /** Hosts that are to have a copy of their own before a machine asks for it. Those without an imageCache in their configuration take no part. */
  readonly prefetch?: {
    /** Labels that the Cluster must carry; all Clusters if empty. */
    readonly clusterSelector?: {
      /** Exact matches. */
      readonly matchLabels?: Readonly<Record<string, string>>;
      /** Set requirements. */
      readonly matchExpressions?: readonly {
        /** Label key. */
        readonly key: string;
        /** How values are compared. */
        readonly operator: 'In' | 'NotIn' | 'Exists' | 'DoesNotExist';
        /** Values for In and NotIn. */
        readonly values?: readonly string[];
      }[];
    };
    /** Labels that the host must carry; Mesos attributes are host labels. */
    readonly hostSelector?: {
      /** Exact matches. */
      readonly matchLabels?: Readonly<Record<string, string>>;
      /** Set requirements. */
      readonly matchExpressions?: readonly {
        /** Label key. */
        readonly key: string;
        /** How values are compared. */
        readonly operator: 'In' | 'NotIn' | 'Exists' | 'DoesNotExist' | 'Gt' | 'Lt';
        /** Values for In and NotIn. */
        readonly values?: readonly string[];
      }[];
    };
    /** On so many hosts of each Cluster: a number, or All. Default: "All". */
    readonly copies: number | string;
  };
  /** Whether what must differ between machines was taken out of it (machine id, host keys, Sysprep). Default: "Unknown". */
  readonly sealed: 'Yes' | 'No' | 'Unknown';
  /** Protection. */
  readonly limits: {
    /** Largest disk a guest may see. Default: "2Ti". */
    readonly maxVirtualSize: string;
    /** For one import. Default: "2h". */
    readonly timeout: string;
  };
}

export interface ImageStatus {
  /** metadata.generation that this status speaks of. */
  readonly observedGeneration?: number;
  /** What holds of this object and why, one entry per type. */
  readonly conditions?: readonly Condition[];
  /** Where it is. */
  readonly phase?: 'Pending' | 'WaitingForUpload' | 'Downloading' | 'Verifying' | 'Converting' | 'Ready' | 'Failed' | 'Lost' | 'Terminating';
  /** sha256 of the canonical file. */
  readonly digest?: string;
  /** Format of the canonical file. */
  readonly format?: string;
  /** Bytes on disk. */
  readonly size?: number;
  /** Bytes as a guest sees it. */
  readonly virtualSize?: number;
  /** For people. */
  readonly progress?: string;
  /** Machines that use it. */
  readonly users?: number;
  /** Where the bytes came from in the end, after redirects; without query. */
  readonly resolvedURL?: string;
  /** What the server called the version that was fetched, if it is a strong ETag. */
  readonly etag?: string;
  /** Hosts that have a copy of their own. */
  readonly warmHosts?: number;
  /** Of spec.prefetch, by hosts. */
  readonly prefetch?: {
    /** Hosts that are to have a copy. */
    readonly wanted?: number;
    /** Those that have it. */
    readonly done?: number;
    /** Those that cannot take it now. */
    readonly failed?: number;
    /** Some of them, and why. */
    readonly examples?: readonly string[];
  };
  /** One row per cluster. */
  readonly clusters?: readonly {
    /** Cluster. */
    readonly name: string;
    /** Where it is. */
    readonly phase?: 'Pending' | 'WaitingForUpload' | 'Downloading' | 'Verifying' | 'Converting' | 'Ready' | 'Failed' | 'Lost';
    /** sha256 of the canonical file. */
    readonly digest?: string;
    /** Format. */
    readonly format?: string;
    /** Bytes on disk. */
    readonly size?: number;
    /** Bytes as a guest sees it. */
    readonly virtualSize?: number;
    /** Percent. */
    readonly progress?: number;
    /** Why. */
    readonly message?: string;
    /** Of a failure, in one word. */
    readonly reason?: string;
    /** Not retried without a change. */
    readonly terminal?: boolean;
    /** Mesos task of the import. */
    readonly taskID?: string;
    /** Mesos agent of the import. */
    readonly agentID?: string;
    /** Host of the import, or that takes the file that is uploaded. */
    readonly host?: string;
    /** Bytes that were uploaded. Written now and then. */
    readonly bytesUploaded?: number;
    /** Bytes of the file that is uploaded. */
    readonly bytesTotal?: number;
    /** Imports tried. */
    readonly attempts?: number;
    /** Of these in a row without success. */
    readonly failures?: number;
    /** Where the bytes came from in the end, after redirects; without query. */
    readonly resolvedURL?: string;
    /** What the server called the version that was fetched, if it is a strong ETag. */
    readonly etag?: string;
    /** Hosts of the cluster that have a copy of their own. */
    readonly warmHosts?: number;
    /** Of spec.prefetch, by hosts. */
    readonly prefetch?: {
      /** Hosts that are to have a copy. */
      readonly wanted?: number;
      /** Those that have it. */
      readonly done?: number;
      /** Those that cannot take it now. */
      readonly failed?: number;
      /** Some of them, and why. */
      readonly examples?: readonly string[];
    };
    /** Not before. */
    readonly retryAfter?: string;
  }[];
}

export const Image: Kind<Image> = {
  group: 'computefactory.io',
  version: 'v1alpha1',
  kind: 'Image',
  plural: 'images',
  singular: 'image',
  shortNames: [
    'img'
  ],
  namespaced: true
};
