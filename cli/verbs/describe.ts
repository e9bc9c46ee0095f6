import { stringify } from 'yaml';
import type { Event } from '#lib/api/core.ts';
import { formatAge } from '#lib/api/duration.ts';
import type { Condition, ObjectMeta } from '#lib/api/meta.ts';
import { systemClock } from '#lib/std/clock.ts';
import type { Output } from '../output.ts';
import { discover, pathOf, resolveTargets } from '../resources.ts';
import { connect } from '../session.ts';
import { printTable } from '../table.ts';
import { connectionFlags, connectionHelp, exit, parseFlags, type Verb } from '../verb.ts';

interface Described {
  readonly kind: string;
  readonly metadata: ObjectMeta;
  readonly spec?: unknown;
  readonly status?: { readonly conditions?: readonly Condition[] } & Record<string, unknown>;
}

export const describe: Verb = {
  name: 'describe',
  summary: 'Show one object with its conditions and events',
  help: `Usage: factoryctl describe KIND NAME…|KIND/NAME… [flags]

Examples:
  factoryctl describe cf render -n studio-a

Flags:
${connectionHelp}`,
  async run(args, out) {
    const { values, positionals } = parseFlags('describe', args, connectionFlags);
    const session = connect(values);
    for (const { resource, name } of resolveTargets(await discover(session), positionals, 'describe')) {
      const object = await session.request<Described>('GET', pathOf(resource, session.namespace, name));
      const about = encodeURIComponent(`involvedObject.uid=${object.metadata.uid}`);
      const namespace = object.metadata.namespace ?? 'default';
      const events = await session.request<{ items: Event[] }>(
        'GET',
        `/api/v1/namespaces/${namespace}/events?fieldSelector=${about}`,
      );
      print(object, events.items, out);
    }
    return exit.ok;
  },
};

function print({ metadata, kind, spec, status }: Described, events: readonly Event[], out: Output): void {
  const line = (name: string, value: string) => out.line(`${`${name}:`.padEnd(14)}${value}`);
  line('Name', metadata.name);
  if (metadata.namespace) line('Namespace', metadata.namespace);
  line('Kind', kind);
  line('Age', age(metadata.creationTimestamp));
  for (const [index, pair] of Object.entries(metadata.labels ?? {}).entries())
    line(index === 0 ? 'Labels' : '', pair.join('='));
  if (metadata.deletionTimestamp)
    line('Deleted', `${age(metadata.deletionTimestamp)} ago, waits for ${metadata.finalizers?.join(', ')}`);
  section('Spec', spec, out);
  const { conditions, ...rest } = status ?? {};
  section('Status', rest, out);
  if (conditions?.length) {
    out.line('Conditions:');
    printTable(
      ['  TYPE', 'STATUS', 'REASON', 'AGE', 'MESSAGE'],
      conditions.map((c) => [`  ${c.type}`, c.status, c.reason, age(c.lastTransitionTime), c.message]),
      out,
    );
  }
  if (events.length === 0) {
    line('Events', '<none>');
    return;
  }
  out.line('Events:');
  const rows = events.map((event) => [
    `  ${event.type ?? ''}`,
    event.reason ?? '',
    age(event.lastTimestamp ?? event.metadata.creationTimestamp),
    event.count && event.count > 1 ? `x${event.count}` : '',
    event.message ?? '',
  ]);
  printTable(['  TYPE', 'REASON', 'AGE', 'COUNT', 'MESSAGE'], rows, out);
}

function section(title: string, value: unknown, out: Output): void {
  if (value === undefined || (typeof value === 'object' && value !== null && Object.keys(value).length === 0)) return;
  out.line(`${title}:`);
  for (const line of stringify(value, { lineWidth: 0, aliasDuplicateObjects: false }).trimEnd().split('\n'))
    out.line(`  ${line}`);
}

function age(time: string): string {
  return formatAge(systemClock.now() - Date.parse(time));
}
