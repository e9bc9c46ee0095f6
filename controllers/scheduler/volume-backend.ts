/** What is to be done on the Gluster volume for a Volume, and what hosts see of it. Pure. */
import type { Volume } from '#lib/api/generated/volume.ts';
import type { VolumeSource } from '#lib/api/launch.ts';
import type { MountReport, VolumeOrder, VolumeOrderReport } from '#lib/api/messages.ts';
import { formatMiB, parseBytes } from '#lib/api/quantity.ts';
import { backoffMs } from '#lib/std/backoff.ts';
import { timestamp } from '#lib/std/clock.ts';
import type { Random } from '#lib/std/random.ts';
import type { ExecutorFact } from './executor-book.ts';

type Status = NonNullable<Volume['status']>;
export type Backend = NonNullable<Status['backend']>;
export type Health = NonNullable<Status['health']>;

const retry = { firstMs: 10_000, maxMs: 300_000 } as const;
const messageMax = 2048;

/** undefined: nothing. */
export function orderFor({ metadata, spec, status }: Volume): BackendOrder | undefined {
  const { state } = status?.backend ?? {};
  if (metadata.deletionTimestamp) return status?.removal === 'Wanted' && state !== 'Removed' ? 'remove' : undefined;
  if (state === 'Made') return undefined;
  if (!spec.sources) return 'make';
  return status?.source ? 'fill' : undefined;
}

/** It is there, and a larger one is wanted. */
export function isToGrow({ metadata, spec, status }: Volume): boolean {
  const { state, size = status?.capacity } = status?.backend ?? {};
  if (metadata.deletionTimestamp || state !== 'Made' || size === undefined) return false;
  return parseBytes(size) < parseBytes(spec.size);
}

/** The same volume, as if what is there were what is being done about its growth: to grow is to be made once more, larger. */
export function asResize(volume: Volume): Volume {
  const { resize = { state: 'Waiting' } } = volume.status ?? {};
  return { ...volume, status: { ...volume.status, backend: resize } };
}

/** Another one for each try and size: what became of the last is still in the heartbeats of its host. */
export function orderId({ metadata, spec, status }: Volume, order: BackendOrder): string {
  return `${metadata.uid}-${order}-${parseBytes(spec.size)}-${status?.backend?.failures ?? 0}`;
}

/** Of `fill`; undefined if it has not been found yet. */
export function sourceOnHost({ status }: Volume): VolumeSource | undefined {
  const { digest, format = 'qcow2', uid, glusterVolume, grant } = status?.source ?? {};
  if (digest !== undefined) return { digest, format };
  if (uid === undefined || glusterVolume === undefined) return undefined;
  return { uid, glusterVolume, ...(grant !== undefined && { grant }) };
}

/** What is done about a Volume; without one there is nothing of which to say how far it is. */
export type BackendOrder = Exclude<VolumeOrder['order'], 'discard'>;

const doing = { make: 'Making', fill: 'Making', remove: 'Removing' } as const;
const done = { make: 'Made', fill: 'Made', remove: 'Removed' } as const;

/** The next state; while it is Making or Removing, its host is to be given the order. `hosts`: those that answer. */
export function nextBackend(
  volume: Volume,
  order: BackendOrder,
  hosts: readonly ExecutorFact[],
  nowMs: number,
  random: Random,
): Backend {
  const old: Backend = volume.status?.backend ?? { state: 'Waiting' };
  if (old.state === doing[order]) {
    const host = hosts.find(({ hostname }) => hostname === old.host);
    const id = orderId(volume, order);
    const report = host?.heartbeat.volumes?.orders.find((one) => one.id === id);
    if (report?.state === 'Done')
      return {
        state: done[order],
        ...(old.host !== undefined && { host: old.host }),
        ...(order !== 'remove' && { size: sizeThere(volume, report) }),
      };
    if (report) return failed(old, report, nowMs, random);
    if (host) return withProgress(volume, old, host);
  }
  return begun(volume, order, old, hosts, nowMs);
}

function withProgress({ metadata }: Volume, old: Backend, { heartbeat }: ExecutorFact): Backend {
  const filling = heartbeat.volumes?.filling?.find(({ uid }) => uid === metadata.uid);
  return filling ? { ...old, progress: filling.percent } : old;
}

/** What is being done about its growth, or the backend with its new size; undefined: it is as large as is wanted. */
export function nextResize(
  volume: Volume,
  hosts: readonly ExecutorFact[],
  nowMs: number,
  random: Random,
): Pick<Status, 'backend' | 'resize'> | undefined {
  if (!isToGrow(volume)) return undefined;
  const able = hosts.filter(({ heartbeat }) => heartbeat.volumes?.grows);
  const { state, size, ...next } = nextBackend(asResize(volume), 'make', able, nowMs, random);
  if (state === 'Made') {
    const backend = { ...volume.status!.backend!, size: size! };
    if (parseBytes(backend.size) >= parseBytes(volume.spec.size)) return { backend };
    const { state: _, ...waiting } = failed(asResize(volume).status!.backend!, isInUse, nowMs, random);
    return { backend, resize: { ...waiting, state: 'Waiting' } };
  }
  if (state !== 'Making' && able.length === 0)
    return { resize: { ...next, state: 'Waiting', message: 'Waits for a host whose executor is new enough to do it' } };
  return { resize: { ...next, state: state === 'Making' ? 'Making' : 'Waiting' } };
}

const isInUse = {
  reason: 'InUse',
  message: 'a machine may have the disk open. It grows when one that has it is started next: restart it when it suits',
} as const;

/** In the user's own words, if it is all that. */
function sizeThere({ spec }: Volume, { bytes = Number.POSITIVE_INFINITY }: VolumeOrderReport): string {
  if (bytes >= parseBytes(spec.size)) return spec.size;
  return bytes % 2 ** 20 === 0 ? formatMiB(bytes / 2 ** 20) : String(bytes);
}

function failed(
  old: Backend,
  { reason = 'VolumeFailed', message }: { readonly reason?: string; readonly message: string },
  nowMs: number,
  random: Random,
): Backend {
  const failures = (old.failures ?? 0) + 1;
  const retryAfter = timestamp(nowMs + backoffMs(failures, retry, random));
  const text = `Host ${old.host}: ${message}. Tried ${failures} times; again at ${retryAfter}`;
  const { progress: _, ...rest } = old;
  return { ...rest, state: 'Waiting', failures, retryAfter, reason, message: text.slice(0, messageMax) };
}

/** On another host after each failure: that one may not belong to Gluster's pool. */
function begun(
  { spec, status }: Volume,
  order: BackendOrder,
  old: Backend,
  hosts: readonly ExecutorFact[],
  nowMs: number,
): Backend {
  if (old.retryAfter !== undefined && Date.parse(old.retryAfter) > nowMs) return { ...old, state: 'Waiting' };
  const { volume: name } = spec.backend.gluster;
  const needed = [name, ...(order === 'fill' ? [status?.source?.glusterVolume ?? name] : [])];
  const able = hosts.filter(
    ({ heartbeat: { volumes } }) =>
      needed.every((one) => volumes?.names.includes(one)) && (order !== 'fill' || volumes?.fills),
  );
  const { failures = 0 } = status?.backend ?? {};
  const host = able.map(({ hostname }) => hostname).toSorted()[failures % Math.max(1, able.length)];
  const { host: _h, retryAfter: _r, progress: _p, ...rest } = old;
  if (host !== undefined) return { ...rest, state: doing[order], host };
  const why =
    hosts.length === 0
      ? 'No executor runs in the cluster yet: one starts with the first machine or image, and a machine that has the Volume makes it'
      : `None of the ${hosts.length} hosts with an executor${order === 'fill' ? ' is new enough for sources, and' : ''} may use the Gluster volume ` +
        `${[...new Set(needed)].join(' and ')}: add it to gluster.volumes in their configuration`;
  return { ...rest, state: 'Waiting', message: failures > 0 ? (old.message ?? why) : why };
}

/** The worst first. Words of hosts that are not here are what keeps machines from using it, and come before all. */
const bySeverity = ['SplitBrain', 'BrickDown', 'HealPending', 'NearlyFull', 'Healthy'];

function wordOf({ usable, reason, splitBrain = 0, healPending = 0 }: MountReport): string {
  if (!usable) return reason;
  if (splitBrain > 0) return 'SplitBrain';
  return reason === 'Healthy' && healPending > 0 ? 'HealPending' : reason;
}

function messageFor(word: string, { name, message, splitBrain = 0, healPending = 0 }: MountReport): string {
  // Gluster does not start a brick whose process died, and nor do we: its disk may be away on purpose.
  if (word === 'BrickDown')
    return `${message}. They come back with their hosts and links; one whose process ended is started by "gluster volume start ${name} force" on a host of Gluster's pool`;
  if (word === 'SplitBrain')
    return `of ${splitBrain} files the copies differ, and Gluster does not know which is right`;
  return word === 'HealPending' ? `${healPending} files wait to be copied to bricks that were away` : message;
}

/** undefined while no host has it mounted. */
export function healthOf({ spec }: Volume, hosts: readonly ExecutorFact[]): Health | undefined {
  const { volume: name } = spec.backend.gluster;
  const seen = hosts.flatMap(({ hostname, heartbeat }) =>
    (heartbeat.volumes?.mounts ?? []).filter((mount) => mount.name === name).map((mount) => ({ hostname, mount })),
  );
  const severity = ({ mount }: (typeof seen)[number]) => bySeverity.indexOf(wordOf(mount));
  const worst = seen.toSorted((a, b) => severity(a) - severity(b) || a.hostname.localeCompare(b.hostname))[0];
  if (!worst) return undefined;
  const reason = wordOf(worst.mount);
  const said = messageFor(reason, worst.mount);
  const bricks = seen.flatMap(({ mount }) => mount.bricks ?? []).toSorted((a, b) => a.online - b.online)[0];
  const most = (count: (mount: MountReport) => number | undefined) => {
    const known = seen.flatMap(({ mount }) => count(mount) ?? []);
    return known.length > 0 ? Math.max(...known) : undefined;
  };
  const [healPending, splitBrain] = [most((mount) => mount.healPending), most((mount) => mount.splitBrain)];
  return {
    reason,
    hosts: seen.length,
    ...(reason !== 'Healthy' && { message: `host ${worst.hostname}: ${said}`.slice(0, messageMax) }),
    ...(bricks && { bricksOnline: bricks.online, bricksTotal: bricks.total }),
    ...(healPending !== undefined && { healPending }),
    ...(splitBrain !== undefined && { splitBrain }),
  };
}

/** What it takes, as any host sees it; undefined while none looks. */
export function usedOf({ metadata }: Volume, hosts: readonly ExecutorFact[]): string | undefined {
  const seen = hosts.flatMap(({ heartbeat }) =>
    (heartbeat.volumes?.mounts ?? []).flatMap(({ used }) => used?.[metadata.uid] ?? []),
  );
  return seen.length > 0 ? formatMiB(Math.ceil(Math.max(...seen) / 2 ** 20)) : undefined;
}
