import { request } from 'undici';
import { describe, expect, test } from 'vitest';
import { readSteps, recordedExchanges } from '../testing/recorded-steps.ts';
import { recordingFiles } from '../testing/recordings.ts';
import type { MasterOptions } from './master/options.ts';
import { type Cluster, eventually, operatorCall, startCluster } from './testing/cluster.ts';
import { text } from './testing/events.ts';
import { Replay, type Report, replayFile } from './testing/replay.ts';

/** As recorded, but updates are sent again after one second instead of ten; allocation in batches of a second, as in Mesos. */
const agent = { updateRetryMs: 1000 };
const master = { allocationDelayMs: 300 };

interface Recording {
  readonly file: string;
  /** Streams that the recorded client closed itself. */
  readonly closedByUs?: readonly string[];
  readonly hosts?: readonly string[];
  readonly master?: Partial<MasterOptions>;
  /** Steps up to the first that something outside of the APIs has to be done for. */
  readonly until?: string;
}

const recordings: readonly Recording[] = [
  { file: '01-subscribe-offers.txt' },
  { file: '03-accept-launch-command-task.txt' },
  { file: '04-custom-executor-scheduler-side.txt' },
  { file: '05-decline-filters-suppress-revive.txt' },
  { file: '06-invalid-accepts-and-bad-requests.txt', closedByUs: ['E'] },
  { file: '07-reconcile.txt' },
  { file: '08-scheduler-failover.txt', closedByUs: ['B', 'D'] },
  { file: '13-reserve-unreserve-volumes-operator.txt' },
  // Then agent2 was started again.
  { file: '14-maintenance.txt', until: '"STOP_MAINTENANCE"' },
  // host1 had been there before; then agent4 was started again.
  { file: '18-mark-agent-gone.txt', hosts: ['host1.lab', 'host2.lab', 'host4.lab'] },
  { file: '33-operator-teardown.txt', until: 'lab-opteardown2' },
  { file: '34-update-order-per-task.txt' },
  {
    file: '36-authentication.txt',
    closedByUs: ['A', 'B'],
    hosts: [],
    master: {
      credentials: [
        { principal: 'lab', secret: 's3cret' },
        { principal: 'ops', secret: 'opspw' },
      ],
    },
  },
];

/** Refusals that need nothing to have happened before: each is asked for by itself. */
const refusedAlone: readonly string[] = [
  '09-operator-master-get.txt',
  '10-operator-agent-api.txt',
  '40-zookeeper-two-masters.txt',
];

const refusals = new Map<string, number>();

async function frameworks(url: string): Promise<readonly unknown[]> {
  const answer = await operatorCall<{ get_frameworks: { frameworks: unknown[] } }>(url, { type: 'GET_FRAMEWORKS' });
  return answer.get_frameworks.frameworks;
}

function stepsOf({ file, until }: Recording) {
  const steps = readSteps(file);
  const end =
    until === undefined ? -1 : steps.findIndex((step) => step.kind === 'request' && step.body.includes(until));
  return end < 0 ? steps : steps.slice(0, end);
}

function conclude(file: string, report: Report): void {
  refusals.set(file, report.refusals);
  console.log(`${file}: ${report.compared - report.differences.length} of ${report.compared} agree`);
  expect(report.differences).toEqual([]);
}

test.concurrent.for(recordings)('$file is answered as recorded', { timeout: 120_000 }, async (recording) => {
  const { file, closedByUs, hosts } = recording;
  await using cluster = await startCluster({
    master: { ...master, ...recording.master },
    agent,
    ...(hosts && { hosts }),
  });
  // The last subscription of 08 comes when its framework's failover_timeout of 2 s is over.
  const beforeOpening = async (stream: string) => {
    if (!file.startsWith('08') || stream !== 'E') return;
    await eventually(
      'the removal of the framework',
      async () => (await frameworks(cluster.url)).length === 0 || undefined,
    );
  };
  conclude(file, await replayFile(cluster, stepsOf(recording), closedByUs, beforeOpening));
});

test('32: the executor API refuses and accepts as recorded', { timeout: 60_000 }, async () => {
  await using cluster = await startCluster({ master, agent });
  const scheduler = readSteps('32z-scheduler-of-32.txt');
  const launched = scheduler.findIndex((step) => step.kind === 'request' && step.body.includes('ACCEPT')) + 2;
  const replay = new Replay(cluster, ['ex2']);
  await replay.play(scheduler.slice(0, launched));
  await replay.play(readSteps('32-executor-api-errors.txt'));
  await replay.play(scheduler.slice(launched));
  conclude('32-executor-api-errors.txt', replay.finish());
});

describe('refusals that depend on nothing', () => {
  async function refuse(cluster: Cluster, file: string): Promise<void> {
    const url = file.startsWith('10-') ? [...cluster.agents.values()][0]!.url : cluster.url;
    const refused = recordedExchanges(file).filter(({ answer }) => answer.status >= 400);
    for (const { method, path, headers, body, answer } of refused) {
      const { 'content-type': type = '', accept = '*/*' } = headers;
      const ours = await request(`${url}${path}`, {
        method: method as 'POST',
        headers: { 'content-type': type, accept },
        body,
      });
      expect([ours.statusCode, text(await ours.body.text())], body).toEqual([answer.status, text(answer.body)]);
    }
    refusals.set(file, refused.length);
  }

  test.for(refusedAlone)('%s', async (file) => {
    const leadership = file.startsWith('40-') ? { leader: undefined } : undefined;
    await using cluster = await startCluster({ hosts: leadership ? [] : ['host1.lab'], master: { leadership } });
    await refuse(cluster, file);
  });
});

test('every recorded answer of 400 and more was compared', () => {
  const recorded = recordingFiles()
    .flatMap(recordedExchanges)
    .filter(({ answer }) => answer.status >= 400);
  console.log(`${recorded.length} refusals recorded`);
  expect([...refusals.values()].reduce((sum, count) => sum + count, 0)).toBe(recorded.length);
});
