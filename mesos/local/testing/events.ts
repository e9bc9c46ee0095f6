/** What of an event must be equal between a real Mesos and ours: everything but ids, times, addresses, pids and quantities offered. */
type Json = { readonly [key: string]: unknown };

const volatileKeys = new Set([
  'timestamp',
  'unreachable_time',
  'uuid',
  'id',
  'framework_id',
  'agent_id',
  'offer_id',
  'executor_pid',
  'container_id',
  'ip_address',
  'master_info',
  'url',
]);
const uuid = /[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/g;

/** Keeps that a volatile field is there, and drops what it says. */
function shape(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(shape);
  if (typeof value === 'string') return text(value);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, inner]) => [key, volatileKeys.has(key) ? 'present' : shape(inner)]),
  );
}

/** The dump of two ExecutorInfos is protobuf text there and JSON here: only its first line is the message. */
export function text(value: string): string {
  return value
    .replaceAll(uuid, 'UUID')
    .replace(/UUID-[SO]?\d+/g, 'UUID-N')
    .replaceAll(/slave\(1\)@[\d.:]+/g, 'slave(1)@ADDRESS')
    .replace(/(same ExecutorID\.)[\s\S]*/, '$1')
    .trim();
}

export function shapeOf(event: Json): string {
  if (event.type === 'SUBSCRIBED') {
    const { subscribed } = event as { subscribed: Json };
    return JSON.stringify({ type: event.type, keys: Object.keys(subscribed).sort() });
  }
  return JSON.stringify(shape(event));
}

/** The fields of one offer, of its resources and attributes; which executors run and how much is free depends on the moment. */
export function offerShape(offer: Json): string {
  const {
    executor_ids: _,
    resources,
    ...rest
  } = offer as { executor_ids?: unknown; resources: readonly Json[] } & Json;
  const kinds = resources.map(({ scalar, ranges, ...resource }) =>
    JSON.stringify(shape({ ...resource, quantity: scalar ? 'scalar' : ranges ? 'ranges' : 'none' })),
  );
  return JSON.stringify([shape(rest), [...new Set(kinds.map((kind) => kind.replace(/"name":"\w+"/, '')))].sort()]);
}
