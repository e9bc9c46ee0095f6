/** The index of the system: every controller and loop of factory-controllers. The cluster server, one per Cluster, is in scheduler/. */
import { clusterController } from './cluster/controller.ts';
import { computeFactoryController } from './computefactory/controller.ts';
import { garbageCollector } from './gc/collector.ts';
import { namespaceController } from './gc/namespace.ts';
import { imageController } from './image/controller.ts';
import type { ControllerFactory, LoopFactory } from './runtime/deps.ts';
import { subnetController } from './subnet/controller.ts';
import { virtualMachineController } from './virtualmachine/controller.ts';
import { vmOperationController } from './vmoperation/controller.ts';
import { vmPoolController } from './vmpool/controller.ts';
import { vmRestoreController } from './vmrestore/controller.ts';
import { vmSnapshotController } from './vmsnapshot/controller.ts';
import { volumeController } from './volume/controller.ts';

export const controllers: readonly ControllerFactory[] = [
  // A factory makes pools, a pool makes machines.
  computeFactoryController,
  vmPoolController,
  virtualMachineController,
  // What machines stand on.
  imageController,
  subnetController,
  volumeController,
  // One order to one machine, carried out by the cluster server.
  vmOperationController,
  // What a machine's disk was like, and its way back.
  vmSnapshotController,
  vmRestoreController,
  // Clusters that nobody speaks for any more.
  clusterController,
  // The contents of deleted namespaces.
  namespaceController,
];

/** What works on every kind that the server serves, ours or not: dependents of deleted owners go. */
export const loops: readonly LoopFactory[] = [garbageCollector];
