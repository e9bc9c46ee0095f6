/** How the lab is hurt, and how what was hurt comes back: by itself, by its keeper, or by what an operator does. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { localPaths } from '#cli/local/settings.ts';
import { ip } from '#cli/pretend-host/namespace.ts';
import { isPretendHostRunning, storeVolume } from '#cli/pretend-host/pretend-host.ts';
import { systemClock } from '#lib/std/clock.ts';
import { isRunning, processesMarked, signalProcess } from '#lib/std/process-identity.ts';
import { run } from '../../local-cluster.ts';
import { type Fault, hurtProcesses } from '../faults/striker.ts';
import type { Lab, LabHost } from './cluster.ts';
import { initOf, processesIn, type Qemu, qemusIn } from './host-processes.ts';
import type { LabKind, LabVictim, LabWay } from './targets.ts';

const bootMs = 120_000;
const reviveMs = 120_000;
const foreverMs = 2 ** 31;
/** So long libvirt takes at most to see what a QEMU has told it. */
const tellMs = 300;
const libvirtMs = 3_000;

export interface Harm {
  readonly lab: Lab;
  /** To be called before a guest loses its life by the trial's own hand. */
  disturb(uid: string): void;
  /** To be called before something dies that may be starting a guest. */
  interrupt(uid: string): void;
  print(line: string): void;
}

export async function hurt(harm: Harm, fault: Fault<LabKind, LabWay>, victim: LabVictim): Promise<void> {
  if (fault.way === 'power cut') return await cutPower(harm, victim.host, fault.forMs);
  if (fault.way === 'link down') return await cutWire(harm, victim.host, fault.forMs);
  if (victim.qemu && fault.way === 'kill -9') await disturbLives(harm, victim.host, [victim.qemu]);
  if (fault.kind === 'libvirtd' && fault.way === 'kill -9')
    for (const { uid } of qemusIn(harm.lab.cluster.dir, [victim.host.name])) harm.interrupt(uid);
  // The others come back by themselves, at once.
  const isLeftDown = fault.way === 'SIGSTOP' || fault.kind === 'agent' || fault.kind === 'brick';
  const its = isLeftDown ? fault : { ...fault, forMs: 0 };
  await hurtProcesses(harm.lab.keeper, its, victim, (line) => harm.print(line));
  if (fault.kind === 'brick' && fault.way === 'kill -9') await reviveBricks(harm.lab);
}

/**
 * Of those that are about to die, whose guests lose their life: not where one is received and has not come yet. It goes on at its source, and nothing may
 * happen to it. That is asked while the QEMU stands still, so that nothing comes between; where libvirt does not answer, it may have come.
 */
async function disturbLives({ disturb }: Harm, host: LabHost, qemus: readonly Qemu[]): Promise<void> {
  const receiving = qemus.filter(({ receives, identity }) => receives && isRunning(identity));
  for (const { identity } of receiving) signalProcess(identity.pid, 'SIGSTOP');
  if (receiving.length > 0) await systemClock.sleep(tellMs);
  const domains = receiving.length > 0 ? await host.activeDomains(libvirtMs) : [];
  const hasNotCome = ({ uid, receives }: Qemu) =>
    receives && domains?.find(({ name }) => name === `cf-${uid}`)?.isStanding === true;
  for (const qemu of qemus) if (!hasNotCome(qemu)) disturb(qemu.uid);
}

/** Everything of the host at once, and nobody says goodbye on the wire. It boots again, and its agent is started by it. */
async function cutPower(harm: Harm, host: LabHost, forMs: number): Promise<void> {
  const { lab, print } = harm;
  const { cluster, fabric, keeper } = lab;
  const { name, netns, machineDir, agent, program, port } = host;
  const bootId = bootIdOf(host);
  keeper.leaveDown(agent, foreverMs);
  keeper.leaveDown(program, forMs);
  await ip('-n', fabric, 'link', 'set', port, 'down');
  const guests = qemusIn(cluster.dir, [name]);
  await disturbLives(harm, host, guests);
  const cameMeanwhile = qemusIn(cluster.dir, [name]).filter(
    ({ identity }) => !guests.some((known) => known.identity.pid === identity.pid),
  );
  for (const { uid } of cameMeanwhile) harm.disturb(uid);
  const config = join(localPaths(cluster.dir).host(name), 'executor.json');
  const outside = [
    ...[keeper.process(agent), initOf(machineDir), keeper.process(program)].filter((each) => each !== undefined),
    ...processesMarked('CF_EXECUTOR_CONFIG', config),
  ];
  for (const process of outside) if (isRunning(process)) signalProcess(process.pid, 'SIGKILL');
  for (const { identity } of processesIn(netns)) signalProcess(identity.pid, 'SIGKILL');
  print(`power cut of ${name} with ${guests.length} guests, ${(forMs / 1000).toFixed(1)} s`);
  await systemClock.sleep(forMs);
  const deadline = systemClock.monotonic() + bootMs;
  while (bootIdOf(host) === bootId || !isPretendHostRunning(machineDir)) {
    if (systemClock.monotonic() > deadline) throw new Error(`${name} did not boot within ${bootMs} ms`);
    await systemClock.sleep(50);
  }
  keeper.leaveDown(agent, 0);
}

function bootIdOf({ machineDir }: LabHost): string {
  return readFileSync(join(machineDir, 'boot-id'), 'utf8');
}

async function cutWire({ lab, print }: Harm, { name, port }: LabHost, forMs: number): Promise<void> {
  await ip('-n', lab.fabric, 'link', 'set', port, 'down');
  print(`link down of ${name}, ${(forMs / 1000).toFixed(1)} s`);
  await systemClock.sleep(forMs);
  await ip('-n', lab.fabric, 'link', 'set', port, 'up');
}

/** glusterd does not start a brick again that died: an operator does. Any host may be asked that has power and a glusterd that answers. */
async function reviveBricks({ hosts }: Lab): Promise<void> {
  const deadline = systemClock.monotonic() + reviveMs;
  for (;;) {
    for (const { machineDir } of hosts) {
      const init = initOf(machineDir);
      if (!init || !isRunning(init)) continue;
      const inside = ['-t', String(init.pid), '--mount', '--net', '--pid'];
      const start = ['gluster', '--mode=script', 'volume', 'start', storeVolume, 'force'];
      if ((await run('nsenter', [...inside, ...start], {}, 10_000)).code === 0) return;
    }
    if (systemClock.monotonic() > deadline) throw new Error(`No host could start its brick within ${reviveMs} ms`);
    await systemClock.sleep(500);
  }
}
