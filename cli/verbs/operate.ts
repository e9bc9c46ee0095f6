/** start, stop, restart, migrate: each makes a VMOperation and waits for its end. The spec is never edited, so Git stays right. */
import { systemClock } from '#lib/std/clock.ts';
import { UsageError } from '#lib/std/main.ts';
import type { Output } from '../output.ts';
import { discover, pathOf, resolveTargets, resolveWord, whyCommand } from '../resources.ts';
import { connect } from '../session.ts';
import { connectionFlags, connectionHelp, exit, parseFlags, type Verb } from '../verb.ts';
import { readTimeout } from './wait.ts';

const lookEveryMs = 200;

interface Operation {
  readonly metadata: { readonly name: string };
  readonly status?: { readonly phase?: string; readonly message?: string };
}

interface Operable {
  readonly type: 'Start' | 'Stop' | 'Restart' | 'Migrate';
  readonly summary: string;
  /** Participle: the machine was so. */
  readonly past: string;
  /** What it does, for its help. */
  readonly about?: string;
  /** The guest's consent can be done without. */
  readonly mayForce: boolean;
}

function operation(name: string, { type, summary, past, about, mayForce }: Operable): Verb {
  const forceHelp = mayForce ? '      --force          Do not wait for the guest: as if by the power cord\n' : '';
  return {
    name,
    summary,
    help: `Usage: factoryctl ${name} vm NAME… [flags]

Examples:
  factoryctl ${name} vm render-local-48c-0 -n studio-a

Flags:
${forceHelp}      --timeout TIME   Give up after this (5m)
${connectionHelp}
${about ? `\n${about}\n` : ''}
Makes a VMOperation and waits for its end. Exit codes: 0 done, 1 refused or failed, 3 not in time.`,
    async run(args, out) {
      const { values, positionals } = parseFlags(name, args, {
        ...connectionFlags,
        ...(mayForce && { force: { type: 'boolean', default: false } as const }),
        timeout: { type: 'string', default: '5m' },
      });
      const timeoutMs = readTimeout(values.timeout);
      const session = connect(values);
      const resources = await discover(session);
      const kind = resolveWord(resources, 'vmoperations')[0]!;
      let code: number = exit.ok;
      for (const target of resolveTargets(resources, positionals, name)) {
        if (target.resource.kind !== 'VirtualMachine')
          throw new UsageError(`Only machines can be ${past}: factoryctl ${name} vm NAME.`);
        const body = {
          apiVersion: `${kind.group}/${kind.version}`,
          kind: kind.kind,
          metadata: { generateName: `${target.name.slice(0, 200)}-${name}-` },
          spec: { vm: target.name, type, force: mayForce && values.force === true, timeout: values.timeout },
        };
        const made = await session.request<Operation>('POST', pathOf(kind, session.namespace), { body });
        const ended = await waitForEnd(
          () => session.request<Operation>('GET', pathOf(kind, session.namespace, made.metadata.name)),
          timeoutMs,
        );
        const next = whyCommand(target.resource, session.namespace, target.name);
        code = Math.max(code, report(target.name, past, ended, { timeoutMs, next }, out));
      }
      return code;
    },
  };
}

async function waitForEnd(look: () => Promise<Operation>, timeoutMs: number): Promise<Operation> {
  // The server ends the operation itself at its timeout: a little longer here, to show its verdict instead of ours.
  const deadline = systemClock.monotonic() + timeoutMs + 15_000;
  for (;;) {
    const now = await look();
    if (['Completed', 'Failed', 'Superseded'].includes(now.status?.phase ?? '') || systemClock.monotonic() > deadline)
      return now;
    await systemClock.sleep(lookEveryMs);
  }
}

function report(
  name: string,
  past: string,
  { metadata, status }: Operation,
  { timeoutMs, next }: { readonly timeoutMs: number; readonly next: string },
  out: Output,
): number {
  if (status?.phase === 'Completed') {
    out.line(`virtualmachine.computefactory.io/${name} ${past}`);
    return exit.ok;
  }
  const message = status?.message || 'it said nothing';
  if (status?.phase === 'Failed' || status?.phase === 'Superseded') {
    out.error(`virtualmachine ${name} was not ${past}: ${message}`);
    return exit.failed;
  }
  out.error(
    `virtualmachine ${name} was not ${past} in ${timeoutMs / 1000} s (operation ${metadata.name} is ${status?.phase ?? 'not seen yet'}: ${message}). See "${next}".`,
  );
  return exit.timeout;
}

export const start = operation('start', {
  ...{ type: 'Start', summary: 'Turn a machine on', past: 'started', mayForce: true },
});
export const stop = operation('stop', {
  ...{ type: 'Stop', summary: 'Turn a machine off, as by its power button', past: 'stopped', mayForce: true },
});
export const restart = operation('restart', {
  ...{ type: 'Restart', summary: 'Restart the guest of a machine', past: 'restarted', mayForce: true },
});
export const migrate = operation('migrate', {
  ...{ type: 'Migrate', summary: 'Move a machine to another host while it runs', past: 'migrated', mayForce: false },
  about: `The host is chosen as for any machine: of the same kind (hypervisor, KVM, CPU model), with room, and as its placement wants it. The guest goes
on where it was if it does not come through, and why is printed. A machine with volumes cannot be moved.`,
});
