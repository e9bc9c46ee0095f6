/** The index of the system: every controller of factory-controllers. The cluster server, one per Cluster, is in scheduler/. */
import { computeFactoryController } from './computefactory/controller.ts';
import { garbageController } from './gc/controller.ts';
import { collectedKinds } from './gc/kinds.ts';
import { namespaceController } from './gc/namespace.ts';
import { imageController } from './image/controller.ts';
import type { ControllerFactory } from './runtime/deps.ts';
import { subnetController } from './subnet/controller.ts';
import { virtualMachineController } from './virtualmachine/controller.ts';
import { vmOperationController } from './vmoperation/controller.ts';
import { vmPoolController } from './vmpool/controller.ts';

export const controllers: readonly ControllerFactory[] = [
  // A factory makes pools, a pool makes machines.
  computeFactoryController,
  vmPoolController,
  virtualMachineController,
  // What machines stand on.
  imageController,
  subnetController,
  // One order to one machine, carried out by the cluster server.
  vmOperationController,
  // What is left behind: dependents of deleted owners, kind by kind, and the contents of deleted namespaces.
  ...collectedKinds.map(garbageController),
  namespaceController,
];
