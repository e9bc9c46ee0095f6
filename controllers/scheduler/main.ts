/** factory-cluster-server: the Mesos framework of one cluster. Several may run; one leads, by Lease. */
import { hostname } from 'node:os';
import { parseArgs } from 'node:util';
import { lead } from '#controllers/runtime/leader.ts';
import { leaderFlags, leaderUsage, leaseTimesFrom } from '#controllers/runtime/leader-flags.ts';
import { Namespace } from '#lib/api/core.ts';
import { clusterServerLease, systemNamespace } from '#lib/api/names.ts';
import { connectFromFile } from '#lib/client/kubeconfig.ts';
import { systemClock } from '#lib/std/clock.ts';
import { jsonLog } from '#lib/std/log.ts';
import { runMain, UsageError } from '#lib/std/main.ts';
import { systemRandom } from '#lib/std/random.ts';
import { mesosAccess, mesosAccessFlags, mesosAccessUsage } from '#mesos/access.ts';
import { runClusterServer } from './server.ts';

const usage = `Usage: factory-cluster-server --kubeconfig FILE --cluster NAME [--identity NAME]

The Mesos framework of one cluster. Several may run; one leads, by Lease.

  --kubeconfig FILE   How to reach the API server, as system:computefactory:cluster-server:NAME
  --cluster NAME      The Cluster object to serve
  --identity NAME     Who leads, in the Lease. Unique per running process; one that is started again under the same name leads again at
                      once. The host name and a random word if left out
${mesosAccessUsage}${leaderUsage}`;

function readFlags(argv: readonly string[]) {
  const option = { type: 'string' } as const;
  try {
    const { values } = parseArgs({
      args: [...argv],
      options: {
        kubeconfig: option,
        cluster: option,
        identity: option,
        ...mesosAccessFlags,
        ...leaderFlags,
        help: { type: 'boolean' },
      },
    });
    if (values.help) {
      process.stdout.write(`${usage}\n`);
      process.exit(0);
    }
    if (values.kubeconfig && values.cluster)
      return {
        kubeconfig: values.kubeconfig,
        cluster: values.cluster,
        identity: values.identity ?? `${hostname()}_${systemRandom.uuid()}`,
        times: leaseTimesFrom(values),
        mesos: mesosAccess(values),
      };
  } catch (error) {
    throw new UsageError(`${(error as Error).message}\n${usage}`);
  }
  throw new UsageError(`--kubeconfig and --cluster must be given.\n${usage}`);
}

const log = jsonLog('factory-cluster-server');

await runMain(log, async (stack, signal) => {
  const { kubeconfig, cluster, identity, times, mesos } = readFlags(process.argv.slice(2));
  const client = stack.use(connectFromFile(kubeconfig));
  const common = { client, clock: systemClock, random: systemRandom, log: log.child({ cluster }) };
  const name = clusterServerLease(cluster);
  const leader = { ...common, name, namespace: systemNamespace, identity, times };
  await lead(leader, signal, async (leading, isLeading) => {
    const { metadata } = await client.get(Namespace, { name: systemNamespace }, { signal: leading });
    await runClusterServer({ ...common, isLeading, cluster, mesos, installation: metadata.uid }, leading);
  });
});
