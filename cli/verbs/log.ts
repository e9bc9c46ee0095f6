import { once } from 'node:events';
import { machineNamed, servicePath } from '../machine.ts';
import { connect } from '../session.ts';
import { connectionFlags, connectionHelp, exit, parseFlags, readCount, type Verb } from '../verb.ts';

export const log: Verb = {
  name: 'log',
  summary: 'Show what a machine has printed on its serial console',
  help: `Usage: factoryctl log NAME [flags]

Examples:
  factoryctl log real-0 -n studio-a --tail 20
  factoryctl log real-0 -n studio-a -f

Flags:
  -f, --follow           Go on with what it prints from now on, until Control-C or until the machine is removed
      --tail N           Only the last N lines of what its host has kept (the last 1 MiB)
${connectionHelp}`,
  async run(args) {
    const options = {
      ...connectionFlags,
      follow: { type: 'boolean', short: 'f' },
      tail: { type: 'string' },
    } as const;
    const { values, positionals } = parseFlags('log', args, options);
    const name = machineNamed(positionals, 'log');
    const tail = values.tail === undefined ? undefined : readCount('tail', values.tail);
    const session = connect(values);
    const query = new URLSearchParams({
      ...(values.follow ? { follow: 'true' } : {}),
      ...(tail === undefined ? {} : { tailLines: String(tail) }),
    });
    for await (const chunk of session.bytes(`${servicePath(session, name, 'log')}?${query}`)) {
      if (!process.stdout.write(chunk)) await once(process.stdout, 'drain');
    }
    return exit.ok;
  },
};
