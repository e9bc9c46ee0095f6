import { UsageError } from '#lib/std/main.ts';
import { discover, displayName, pathOf, resolveTargets } from '../resources.ts';
import { connect } from '../session.ts';
import { connectionFlags, connectionHelp, exit, parseFlags, readCount, type Verb } from '../verb.ts';

export const scale: Verb = {
  name: 'scale',
  summary: 'Change how much of something is wanted',
  help: `Usage: factoryctl scale KIND NAME…|KIND/NAME… --replicas=N [flags]

Examples:
  factoryctl scale cf/render --replicas=300     300 units of the factory's capacity (cores, unless told)
  factoryctl scale vmp/real --replicas=4        4 machines

Flags:
      --replicas N     Units for a ComputeFactory, machines for a VMPool
${connectionHelp}`,
  async run(args, out) {
    const { values, positionals } = parseFlags('scale', args, { ...connectionFlags, replicas: { type: 'string' } });
    if (values.replicas === undefined)
      throw new UsageError('How many? Give --replicas=N. See "factoryctl scale --help".');
    const replicas = readCount('replicas', values.replicas);
    const session = connect(values);
    for (const { resource, name } of resolveTargets(await discover(session), positionals, 'scale')) {
      const path = `${pathOf(resource, session.namespace, name)}/scale`;
      await session.request('PATCH', path, {
        body: { spec: { replicas } },
        contentType: 'application/merge-patch+json',
      });
      out.line(`${displayName(resource, name)} scaled`);
    }
    return exit.ok;
  },
};
