import { expect, test } from 'vitest';
import { eventually, operatorCall, startCluster } from './testing/cluster.ts';
import { readSteps } from './testing/recording.ts';
import { Replay, replayFile } from './testing/replay.ts';

/** As recorded, but updates are sent again after one second instead of ten; allocation in batches of a second, as in Mesos. */
const timing = { master: { allocationDelayMs: 300 }, agent: { updateRetryMs: 1000 } };

/** File, and streams that the recorded client closed itself. */
const recordings: [file: string, closedByUs: string[]][] = [
  ['01-subscribe-offers.txt', []],
  ['03-accept-launch-command-task.txt', []],
  ['04-custom-executor-scheduler-side.txt', []],
  ['05-decline-filters-suppress-revive.txt', []],
  ['06-invalid-accepts-and-bad-requests.txt', ['E']],
  ['07-reconcile.txt', []],
  ['08-scheduler-failover.txt', ['B', 'D']],
  ['34-update-order-per-task.txt', []],
];

async function frameworks(url: string): Promise<readonly unknown[]> {
  const answer = await operatorCall<{ get_frameworks: { frameworks: unknown[] } }>(url, { type: 'GET_FRAMEWORKS' });
  return answer.get_frameworks.frameworks;
}

test.concurrent.for(recordings)('%s is answered as recorded', { timeout: 120_000 }, async ([file, closedByUs]) => {
  await using cluster = await startCluster(timing);
  // The last subscription of 08 comes when its framework's failover_timeout of 2 s is over.
  const beforeOpening = async (stream: string) => {
    if (!file.startsWith('08') || stream !== 'E') return;
    await eventually(
      'the removal of the framework',
      async () => (await frameworks(cluster.url)).length === 0 || undefined,
    );
  };
  const report = await replayFile(cluster, file, closedByUs, beforeOpening);
  console.log(`${file}: ${report.compared - report.differences.length} of ${report.compared} agree`);
  expect(report.differences).toEqual([]);
});

test('32: the executor API refuses and accepts as recorded', { timeout: 60_000 }, async () => {
  await using cluster = await startCluster(timing);
  const scheduler = readSteps('32z-scheduler-of-32.txt');
  const launched = scheduler.findIndex((step) => step.kind === 'request' && step.body.includes('ACCEPT')) + 2;
  const replay = new Replay(cluster, ['ex2']);
  await replay.play(scheduler.slice(0, launched));
  await replay.play(readSteps('32-executor-api-errors.txt'));
  await replay.play(scheduler.slice(launched));
  const report = replay.finish();
  console.log(`32: ${report.compared - report.differences.length} of ${report.compared} agree`);
  expect(report.differences).toEqual([]);
});
