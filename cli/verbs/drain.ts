/** drain: empties a host, and waits until it is empty. All it does is to write the Host's spec: the cluster server does the rest. */
import type { Condition } from '#lib/api/meta.ts';
import { systemClock, timestamp } from '#lib/std/clock.ts';
import type { Output } from '../output.ts';
import { discover, displayName, pathOf, type Target } from '../resources.ts';
import { connect, type Session } from '../session.ts';
import { connectionFlags, connectionHelp, exit, parseFlags, type Verb } from '../verb.ts';
import { hostTargets } from './cordon.ts';
import { readTimeout } from './wait.ts';

const lookEveryMs = 500;

export const drain: Verb = {
  name: 'drain',
  summary: 'Empty a host: its machines stop and run elsewhere',
  help: `Usage: factoryctl drain HOST… [flags]

Examples:
  factoryctl drain local-host-0 --reason="new disks"
  factoryctl drain local-host-0 --deadline=30m

Flags:
      --deadline TIME  Empty after this: protection and the pools' minAvailable hold machines back for no longer (no deadline)
      --reason TEXT    Why, for those who read the Host and its machines
      --mark-gone      Tell Mesos, once the host is drained, that its agent never comes back
      --wait TIME      Wait so long for the host to be empty (10m); 0 does not wait
${connectionHelp}

Every machine has its terminationGracePeriod, and then runs elsewhere or not, as its runPolicy says; one with evictionStrategy
LiveMigrateIfPossible is moved as it runs, if that can be. Once the host is empty, its Mesos agent is drained. "factoryctl uncordon HOST" ends the drain. Exit codes: 0 empty, 1 refused, 3 not in time: the drain goes on.`,
  async run(args, out) {
    const { values, positionals } = parseFlags('drain', args, {
      ...connectionFlags,
      deadline: { type: 'string' },
      reason: { type: 'string' },
      'mark-gone': { type: 'boolean', default: false },
      wait: { type: 'string', default: '10m' },
    });
    const waitMs = values.wait === '0' ? 0 : readTimeout(values.wait);
    const deadlineMs = values.deadline === undefined ? undefined : systemClock.now() + readTimeout(values.deadline);
    const body = {
      ...(deadlineMs !== undefined && { deadline: timestamp(deadlineMs) }),
      ...(values.reason !== undefined && { reason: values.reason }),
      markGone: values['mark-gone'],
    };
    const session = connect(values);
    const targets = hostTargets(await discover(session), positionals, 'drain');
    for (const { resource, name } of targets) {
      await session.request('PATCH', pathOf(resource, undefined, name), {
        body: { spec: { drain: body } },
        contentType: 'application/merge-patch+json',
      });
      out.line(`${displayName(resource, name)} draining`);
    }
    const endMs = systemClock.monotonic() + waitMs;
    let code: number = exit.ok;
    if (waitMs > 0) for (const target of targets) code = Math.max(code, await waitFor(session, target, endMs, out));
    return code;
  },
};

interface Drained {
  readonly metadata: { readonly generation?: number };
  readonly status?: { readonly conditions?: readonly Condition[] };
}

async function waitFor(session: Session, { resource, name }: Target, endMs: number, out: Output): Promise<number> {
  for (let said = ''; ; ) {
    const { metadata, status } = await session.request<Drained>('GET', pathOf(resource, undefined, name));
    const draining = status?.conditions?.find(({ type }) => type === 'Draining');
    // What was decided on an older spec speaks of the time before the drain.
    const isCurrent = (draining?.observedGeneration ?? 0) >= (metadata.generation ?? 0);
    if (isCurrent && draining?.status === 'False' && draining.reason === 'Drained') {
      out.line(`${displayName(resource, name)} drained`);
      return exit.ok;
    }
    const message = (isCurrent && draining?.message) || 'the cluster server has not looked at it yet';
    if (systemClock.monotonic() > endMs) {
      out.error(`${displayName(resource, name)} is not empty yet, and the drain goes on. ${message}`);
      return exit.timeout;
    }
    if (message !== said) out.progress(message);
    said = message;
    await systemClock.sleep(lookEveryMs);
  }
}
