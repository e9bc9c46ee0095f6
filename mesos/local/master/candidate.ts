/**
 * Standing for election in ZooKeeper, as Mesos' masters do (src/master/contender): a node that vanishes with the session, the lowest
 * number leads. Who led and does not any more must end, as its memory is of no more use; who only waited stands again.
 */
import { stringifyLossless } from '#mesos/json.ts';
import { candidatePrefix, candidatesIn, originOfMaster, readLeader } from '#mesos/master-nodes.ts';
import type { MasterInfo } from '#mesos/types.ts';
import type { ZooKeeperConnection } from '#mesos/zookeeper/connection.ts';
import { ensureDirectory } from '#mesos/zookeeper/directory.ts';
import { keepSession } from '#mesos/zookeeper/session.ts';
import { parseZooKeeperUrl } from '#mesos/zookeeper/url.ts';
import { type Leadership, urlOf } from './leadership.ts';
import type { Master } from './state.ts';

export interface Outcome {
  /** Called once, before anybody is told. */
  elected(): void;
  /** Called once, after `elected`: why it leads no more. */
  lost(why: string): void;
}

/** Stands until disposed of, which ends the session. Keeps `leadership` as ZooKeeper has it. */
export function standForElection(master: Master, leadership: Leadership, outcome: Outcome): AsyncDisposable {
  const { zk, zkSessionTimeoutMs: timeoutMs, clock, random, log } = master.options;
  const url = parseZooKeeperUrl(zk!);
  const stop = new AbortController();
  let leads = false;

  function lost(why: string): void {
    leadership.leader = undefined;
    if (leads) outcome.lost(why);
  }

  function noteLeader(info: MasterInfo | undefined): void {
    const isOurs = info?.id === master.id;
    const leader = info && originOfMaster(info, master.options.tls ? 'https' : 'http');
    if (leads && !isOurs) {
      lost(`${leader ?? 'Nobody'} leads`);
      return;
    }
    if (!leads && isOurs) {
      outcome.elected();
      leads = true;
    }
    // The node of a process that was at our address before us: nobody leads until it vanishes.
    leadership.leader = !isOurs && leader === urlOf(master) ? undefined : leader;
  }

  async function work(connection: ZooKeeperConnection): Promise<never> {
    await ensureDirectory(connection, url.path);
    for (;;) {
      const changed = connection.changed();
      await stand(connection, url.path, master);
      noteLeader(await readLeader(connection, url.path));
      await changed;
    }
  }

  const expired = () => lost('The session with ZooKeeper expired');
  const running = keepSession({ url, timeoutMs, clock, random, log }, { work, expired }, stop.signal);
  return {
    async [Symbol.asyncDispose]() {
      stop.abort(new Error('The master stops'));
      await running;
    },
  };
}

/** Once in a session, also when the answer to the creation was lost with a connection: the node tells whose it is. */
async function stand(connection: ZooKeeperConnection, path: string, master: Master): Promise<void> {
  for (const { name } of candidatesIn((await connection.children(path)) ?? [])) {
    if ((await connection.data(`${path}/${name}`))?.owner === connection.session.id) return;
  }
  await connection.create(`${path}/${candidatePrefix}`, stringifyLossless(master.info), 'candidate');
}
