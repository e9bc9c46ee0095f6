/** The monitor's command line. */
import { parseArgs } from 'node:util';
import { UsageError } from '#lib/std/main.ts';
import { mesosAccess, mesosAccessFlags, mesosAccessUsage } from '#mesos/access.ts';

export const usage = `Usage: factory-monitor --masters URL[,URL…]|zk://HOST:2181/mesos [--config FILE] [--hostname NAME] [--check | --release]

Reserves for machines what this host's own services leave free, and keeps the rest off Mesos. One per host, beside its agent.

  --masters URLS      The masters, or one zk:// where they are found
  --config FILE       JSON: roles, the executor's share, policy; all of it has defaults
  --hostname NAME     As the agent of this host has registered; the host's own name if left out
  --check             Look for a minute, say what would be done, do nothing
  --release           Give back all that is reserved here, for a host that is to go without a monitor; what machines use stays
${mesosAccessUsage}`;

const flagOptions = {
  masters: { type: 'string' },
  config: { type: 'string' },
  hostname: { type: 'string' },
  check: { type: 'boolean' },
  release: { type: 'boolean' },
  ...mesosAccessFlags,
  help: { type: 'boolean' },
} as const;

/** Throws UsageError for flags that there are not, or that do not go together. */
export function flagsOf(argv: readonly string[]) {
  try {
    const { values } = parseArgs({ args: [...argv], options: flagOptions });
    const masters = values.masters?.split(',') ?? [];
    if (masters.length === 0 && !values.help) throw new Error('--masters is missing');
    if (values.check && values.release) throw new Error('Give --check or --release, not both');
    return { ...values, masters, access: mesosAccess(values) };
  } catch (error) {
    throw new UsageError(`${(error as Error).message}\n${usage}`);
  }
}
