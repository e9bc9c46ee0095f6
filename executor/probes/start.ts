/** The probes of a host's machines: who is probed, by which way, and what counts as a fault of the host's own. */
import type { MountReport } from '#lib/api/messages.ts';
import type { Clock } from '#lib/std/clock.ts';
import type { Log } from '#lib/std/log.ts';
import type { HostDevices, Hypervisor } from '../hypervisor.ts';
import type { Machines } from '../machines.ts';
import type { Freezes } from '../snapshots/freezes.ts';
import { type ProbedMachine, Probes, type Stillness } from './probes.ts';
import { tryProbe } from './try-probe.ts';

export interface HealthDeps {
  readonly hypervisor: Pick<Hypervisor, 'agent' | 'get'>;
  readonly devices: Pick<HostDevices, 'knock' | 'dial' | 'requireWhole'>;
  readonly freezes: Pick<Freezes, 'watch'>;
  readonly machines: () => Pick<Machines, 'probed' | 'cameUp' | 'failed'>;
  /** Gluster volumes as they were seen last. */
  mounts(): readonly MountReport[];
  changed(uid: string): void;
  readonly clock: Clock;
  readonly log: Log;
}

export function watchHealth(deps: HealthDeps): Probes {
  const { machines, changed, clock, log } = deps;
  return new Probes({
    machines: () => machines().probed(),
    attempt: async ({ launch: { uid, networks } }, probe, signal) =>
      await tryProbe(deps, { uid, network: networks[0] }, probe, signal),
    stillness: (machine) => stillnessOf(deps, machine),
    requireHost: async (machine) => await requireHost(deps, machine),
    changed,
    up: ({ launch, since }) => machines().cameUp(launch.uid, since),
    unhealthy: ({ launch, since }, why) => machines().failed(launch.uid, since, why),
    clock,
    log,
  });
}

function stillnessOf({ hypervisor, freezes, machines }: HealthDeps, { launch, since }: ProbedMachine): Stillness {
  const { uid } = launch;
  const freeze = freezes.watch(uid);
  return {
    get isStill() {
      return freeze.isFrozen;
    },
    async wasStill() {
      if (freeze.wasFrozen) return true;
      // Paused, and on again: another run. Paused a moment ago: nobody may have heard of it yet.
      if (
        !machines()
          .probed()
          .some((each) => each.launch.uid === uid && each.since === since)
      )
        return true;
      return await hypervisor.get(uid).then(
        (domain) => domain?.power === 'Paused',
        () => false, // what the try has found stands
      );
    },
    [Symbol.dispose]: () => freeze[Symbol.dispose](),
  };
}

async function requireHost({ hypervisor, devices, mounts }: HealthDeps, { launch }: ProbedMachine): Promise<void> {
  const { uid, networks, hostname, volumes = [] } = launch;
  const domain = await hypervisor.get(uid);
  if (domain?.power !== 'On') throw new Error(`The domain is ${domain?.power ?? 'not there'}`);
  const broken = mounts().find(({ name, usable }) => !usable && volumes.some((each) => each.glusterVolume === name));
  if (broken) throw new Error(`Gluster volume ${broken.name} cannot be used: ${broken.message}`);
  await devices.requireWhole({ uid, networks, hostname });
}
