/** What happens when an executor speaks. */
import { isDeepStrictEqual } from 'node:util';
import type { ExecutorMessage, Heartbeat, MachineReport } from '#lib/api/messages.ts';
import { messageOf } from '#lib/std/errors.ts';
import { sameJson } from '#lib/std/same-json.ts';
import { decodeData } from '#mesos/bytes.ts';
import type { SchedulerEvent } from '#mesos/types.ts';
import type { DiskOrderBook } from './disk-orders.ts';
import { type ExecutorFact, isAlive } from './executor-book.ts';
import { storageReady } from './host-storage.ts';
import { machineOf } from './migration.ts';
import type { Orders } from './orders.ts';
import type { Prefetch } from './prefetch.ts';
import type { Seeds } from './seeds.ts';
import type { World } from './world.ts';

type MessageEvent = Extract<SchedulerEvent, { type: 'MESSAGE' }>['message'];

export interface HeartbeatOptions {
  readonly world: World;
  readonly orders: Orders;
  readonly disks: DiskOrderBook;
  readonly seeds: Seeds;
  readonly prefetch: Prefetch;
  /** Something about the host itself may have changed: readiness, foreign domains. */
  readonly onHost: (hostname: string) => void;
  readonly onMachine: (uid: string) => void;
  /** What hosts tell of volumes has changed. */
  readonly onVolumes: () => void;
  /** What hosts tell of files that are uploaded has changed. */
  readonly onUploads: () => void;
  readonly onUnknownAgent: () => void;
}

/** Whether a machine has to be looked at again. How much of it was sent to another host is no news. */
export function differs(a: MachineReport | undefined, b: MachineReport | undefined): boolean {
  return (
    (['phase', 'power', 'restarts', 'attempt', 'pausedReason'] as const).some((field) => a?.[field] !== b?.[field]) ||
    a?.lastEnd?.time !== b?.lastEnd?.time ||
    a?.migration?.id !== b?.migration?.id ||
    a?.migration?.state !== b?.migration?.state ||
    !sameJson(a?.agent, b?.agent) ||
    !sameJson(a?.readiness, b?.readiness) ||
    !sameJson(a?.fence, b?.fence)
  );
}

export function heardMessage(options: HeartbeatOptions, message: MessageEvent): void {
  const { world } = options;
  const hostname = world.agents.hostname(message.agent_id.value);
  // It comes again in 10 s; by then we know the agent.
  if (hostname === undefined) {
    options.onUnknownAgent();
    return;
  }
  // Who passes messages on is connected again, of which no event tells.
  if (!world.agents.get(hostname)?.active) options.onUnknownAgent();
  let heartbeat: ExecutorMessage;
  try {
    heartbeat = decodeData(message.data) as ExecutorMessage;
  } catch (error) {
    world.log.warn('A message of an executor is not JSON', { host: hostname, reason: messageOf(error) });
    return;
  }
  if (heartbeat.type !== 'heartbeat' || heartbeat.version !== 1) {
    world.log.warn('A message of an executor is of no known type', { host: hostname });
    return;
  }
  hear(options, { hostname, agentId: message.agent_id.value, executorId: message.executor_id.value }, heartbeat);
}

function hear(
  { world, orders, disks, seeds, prefetch, onHost, onMachine, onVolumes, onUploads }: HeartbeatOptions,
  from: { hostname: string; agentId: string; executorId: string },
  heartbeat: Heartbeat,
): void {
  const before = world.executors.get(from.hostname);
  const nowMs = world.clock.monotonic();
  const now = world.executors.hear(from, heartbeat, nowMs);
  if (now === before) return;
  world.ledger.executorOn(from.hostname)?.heard(from.executorId);
  if (!isAlive(before, nowMs) || !isRoutine(before, now)) onHost(from.hostname);
  const uids = new Set([...now.machines.keys(), ...(before?.machines.keys() ?? [])]);
  const news = now.inventory !== before?.inventory || before?.lostMs !== undefined;
  if (news) for (const key of world.ledger.machinesOn(from.hostname)) uids.add(machineOf(key));
  for (const uid of uids) if (news || differs(before?.machines.get(uid), now.machines.get(uid))) onMachine(uid);
  tellPeers(world, from.hostname, heartbeat);
  if (!isDeepStrictEqual(before?.heartbeat.volumes, heartbeat.volumes)) onVolumes();
  if (!sameJson(before?.heartbeat.uploads, heartbeat.uploads)) onUploads();
  seeds.heard(from.hostname, heartbeat);
  const images = prefetch.orderFor(from.hostname, heartbeat.images ?? {});
  if (images) void world.tell(from.hostname, images);
  if (!now.inventory) void world.tell(from.hostname, { type: 'inventory', version: 1 });
  if (isToBeAcknowledged(world, heartbeat)) void acknowledge(world, { orders, disks }, from.hostname, heartbeat);
}

/**
 * Inventories and operations are said again until they are answered. A machine with a fence goes on running on the answer; whoever leads after
 * us counts from its start, so only what was heard before that may be answered: asked now, after it was heard.
 */
export function isToBeAcknowledged(
  { isLeading }: Pick<World, 'isLeading'>,
  { inventory, operations, machines }: Heartbeat,
): boolean {
  if (!isLeading()) return false;
  return inventory !== undefined || operations.length > 0 || machines.some(({ fence }) => fence !== undefined);
}

function tellPeers({ overlays, tell }: World, hostname: string, { facts, peers }: Heartbeat): void {
  overlays.heard(hostname, facts.tunnelAddress);
  const order = overlays.orderFor(hostname);
  if (order !== undefined && order.id !== peers) void tell(hostname, order);
}

/** What a worker says of its host is the same for as long as it lives, but for the inventory and the file systems. */
function isRoutine(before: ExecutorFact, now: ExecutorFact): boolean {
  const sameWorker = before.heartbeat.workerId === now.heartbeat.workerId && before.agentId === now.agentId;
  return (
    sameWorker &&
    before.inventory === now.inventory &&
    isDeepStrictEqual(storageReady(before.heartbeat), storageReady(now.heartbeat))
  );
}

async function acknowledge(
  world: World,
  { orders, disks }: Pick<HeartbeatOptions, 'orders' | 'disks'>,
  hostname: string,
  heartbeat: Heartbeat,
): Promise<void> {
  const { stored, others } = await disks.reported(heartbeat.operations);
  const operations = [...stored, ...(await orders.reported(others))];
  const { workerId, sequence } = heartbeat;
  await world.tell(hostname, { type: 'ack', version: 1, workerId, sequence, operations });
}
