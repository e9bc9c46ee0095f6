// Generated from crds/subnets.yaml by hack/generate-types.ts. Do not edit: make generate.
import type { Condition, Kind, KubeObject } from '../meta.ts';

/** An isolated network with its own addresses. */
export interface Subnet extends KubeObject {
  readonly spec: SubnetSpec;
  readonly status?: SubnetStatus;
}

export interface SubnetSpec {
  /** Network address and prefix length, /8 to /30. Immutable. */
  readonly cidr: string;
  /** Address of the gateway inside the cidr, or none; the first usable address if empty. */
  readonly gateway?: string;
  /** Addresses or a..b ranges never given out. */
  readonly excludeIPs?: readonly string[];
  /** Overlay: VXLAN between the hosts of one cluster. VLAN and Bridge: a network of the site, which the hosts have in common, and which takes the right to use segments. Immutable. Default: "Overlay". */
  readonly type: 'Overlay' | 'VLAN' | 'Bridge';
  /** The site's network, of VLAN (parentNIC and vlan) and of Bridge (bridge). Immutable. */
  readonly segment?: {
    /** Name of a bridge that the hosts have. */
    readonly bridge?: string;
    /** Name of an interface of the hosts, on which the VLAN is. */
    readonly parentNIC?: string;
    /** Number of the VLAN. */
    readonly vlan?: number;
    /** Where it has other names. */
    readonly clusters?: readonly {
      /** Name of the Cluster. */
      readonly cluster: string;
      /** Name of a bridge that the hosts have. */
      readonly bridge?: string;
      /** Name of an interface of the hosts, on which the VLAN is. */
      readonly parentNIC?: string;
      /** Number of the VLAN. */
      readonly vlan?: number;
    }[];
  };
  /** Managed: machines get addresses of the cidr from us. External, for VLAN and Bridge: the site's DHCP gives them, and nothing here gives, holds or checks any. Immutable. Default: "Managed". */
  readonly ipam: 'Managed' | 'External';
  /** Full, and so if left out: nothing but the subnet itself and, if asked for, its way out. Nothing else is built. */
  readonly isolation?: 'Full' | 'Tenant' | 'None';
  /** What guests are told. */
  readonly dhcp: {
    /** Lease time. Default: "12h". */
    readonly leaseTime: string;
    /** Name servers. */
    readonly dns?: readonly string[];
    /** Search domain. */
    readonly domain?: string;
  };
  /** MTU of the guests; the default leaves room for the VXLAN header. Default: 1450. */
  readonly mtu: number;
  /** NAT: guests reach the Internet through their host, and nobody reaches them. Of machines that are started from then on. Default: "None". */
  readonly egress: 'None' | 'NAT';
  /** How long a released address stays in quarantine. Default: "10m". */
  readonly releaseCooldown: string;
}

export interface SubnetStatus {
  /** metadata.generation that this status speaks of. */
  readonly observedGeneration?: number;
  /** What holds of this object and why, one entry per type. */
  readonly conditions?: readonly Condition[];
  /** VXLAN id of the overlay. */
  readonly vni?: number;
  /** Gateway, or empty. */
  readonly gateway?: string;
  /** Addresses. */
  readonly capacity?: {
    /** Total addresses. */
    readonly total?: number;
    /** Used addresses. */
    readonly used?: number;
    /** Available addresses. */
    readonly available?: number;
    /** Quarantined addresses. */
    readonly quarantined?: number;
    /** Excluded addresses. */
    readonly excluded?: number;
  };
  /** One word for people. */
  readonly displayStatus?: string;
}

export const Subnet: Kind<Subnet> = {
  group: 'computefactory.io',
  version: 'v1alpha1',
  kind: 'Subnet',
  plural: 'subnets',
  singular: 'subnet',
  shortNames: [
    'sn'
  ],
  namespaced: true
};
