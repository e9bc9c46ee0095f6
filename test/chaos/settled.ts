/** What must be true once faults have stopped and time has passed: everything wanted runs, nothing else is left. */
import { IPLease } from '#lib/api/generated/index.ts';
import { kindId } from '#lib/client/kind-id.ts';
import type { Observer } from './observer.ts';
import type { World } from './world.ts';

export function checkSettled(world: World, observer: Observer): void {
  const machines = observer.machines();
  const uids = new Set(machines.map(({ metadata }) => metadata.uid));
  for (const vm of machines) {
    const { metadata, spec, status } = vm;
    const attempt = status?.attempt;
    if (metadata.deletionTimestamp) {
      world.failed(`Machine ${metadata.name} ${metadata.uid} is still being deleted: ${JSON.stringify(attempt)}`);
      continue;
    }
    const off = spec.runPolicy === 'Halted' || status?.requestedPower === 'Off';
    const wanted = off ? 'Stopped' : 'Running';
    if (status?.phase !== wanted) {
      const reasons = (status?.conditions ?? []).filter((each) => each.status !== 'True').map((each) => each.message);
      world.failed(
        `Machine ${metadata.name} ${metadata.uid} is ${status?.phase}, wanted ${wanted}: ${JSON.stringify(attempt)} ${reasons.join('; ')}`,
      );
      continue;
    }
    const real = world.hosts.find(({ host }) => host.hostname === attempt?.host)?.host.at(metadata.uid);
    if ((real?.power ?? 'Off') !== (off ? 'Off' : 'On'))
      world.failed(
        `Machine ${metadata.name} ${metadata.uid} is said to be ${wanted} and is ${real?.power} on ${attempt?.host}`,
      );
  }
  for (const { host } of world.hosts) {
    const known = new Set([...host.domains.keys(), ...host.disks, ...host.nics]);
    for (const uid of known) {
      const vm = machines.find(({ metadata }) => metadata.uid === uid);
      if (vm?.status?.attempt?.host !== host.hostname)
        world.failed(
          `Host ${host.hostname} still has something of machine ${uid}, whose host is ${vm?.status?.attempt?.host}`,
        );
    }
  }
  for (const object of world.api.store.list(kindId(IPLease))) {
    const { spec, metadata, status } = object as IPLease;
    if (spec.holderUID && !uids.has(spec.holderUID) && status?.phase === 'Bound')
      world.failed(`Lease ${metadata.name} is held for machine ${spec.holderUID}, which does not exist`);
  }
}
