// Generated from crds/ by hack/generate-types.ts. Do not edit: make generate.
import type { Kind } from '../meta.ts';
export * from './cluster.ts';
import { Cluster } from './cluster.ts';
export * from './computefactory.ts';
import { ComputeFactory } from './computefactory.ts';
export * from './host.ts';
import { Host } from './host.ts';
export * from './image.ts';
import { Image } from './image.ts';
export * from './instancetype.ts';
import { InstanceType } from './instancetype.ts';
export * from './iplease.ts';
import { IPLease } from './iplease.ts';
export * from './subnet.ts';
import { Subnet } from './subnet.ts';
export * from './virtualmachine.ts';
import { VirtualMachine } from './virtualmachine.ts';
export * from './vmoperation.ts';
import { VMOperation } from './vmoperation.ts';
export * from './vmpool.ts';
import { VMPool } from './vmpool.ts';
export * from './vmrestore.ts';
import { VMRestore } from './vmrestore.ts';
export * from './vmsnapshot.ts';
import { VMSnapshot } from './vmsnapshot.ts';
export * from './volume.ts';
import { Volume } from './volume.ts';

export const factoryKinds: readonly Kind[] = [
  Cluster,
  ComputeFactory,
  Host,
  Image,
  InstanceType,
  IPLease,
  Subnet,
  VirtualMachine,
  VMOperation,
  VMPool,
  VMRestore,
  VMSnapshot,
  Volume,
];
