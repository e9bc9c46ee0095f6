/** What an attempt is launched on, and with. */
import type { Image } from '#lib/api/generated/image.ts';
import type { VirtualMachine } from '#lib/api/generated/virtualmachine.ts';
import { withChosenImage } from '#lib/api/image-families.ts';
import { annotations, hostObjectName, publicNamespace } from '#lib/api/names.ts';
import type { Place } from './attempt.ts';
import type { World } from './world.ts';

/** undefined: no agent is registered under that name. */
export function placeOn({ agents, executors, hosts, cluster }: World, hostname: string): Place | undefined {
  const agent = agents.get(hostname);
  if (!agent) return undefined;
  const executor = executors.get(hostname);
  const heard = executor?.lostMs === undefined ? executor?.heartbeat.bootId : undefined;
  const host = hosts.get(hostObjectName(cluster, hostname));
  // Nothing is launched into a boot that is over: the last heartbeat is older than the reboot, and the new boot is not told yet.
  const isOver = heard !== undefined && host?.metadata.annotations?.[annotations.confirmedDead] === heard;
  return { cluster, hostname, agentId: agent.agentId, bootId: isOver ? undefined : heard };
}

export function osTypeOf({ images }: World, vm: VirtualMachine): Image['spec']['osType'] {
  const { name, namespace = vm.metadata.namespace! } = withChosenImage(vm).image;
  const find = (at: string) => images.get(`${at}/${name}`);
  return (find(namespace) ?? find(publicNamespace))?.spec.osType ?? 'Linux';
}
