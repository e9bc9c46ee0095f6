import { describe, expect, test } from 'vitest';
import { recordedStreams, recordingFiles } from './recordings.ts';
import { parseRecord, RecordDecoder } from './recordio.ts';

const streams = recordingFiles().flatMap(recordedStreams);
const eventTypes = new Set([
  ...[
    'SUBSCRIBED',
    'OFFERS',
    'RESCIND',
    'INVERSE_OFFERS',
    'RESCIND_INVERSE_OFFER',
    'UPDATE',
    'UPDATE_OPERATION_STATUS',
  ],
  ...['MESSAGE', 'FAILURE', 'ERROR', 'HEARTBEAT', 'LAUNCH', 'LAUNCH_GROUP', 'KILL', 'ACKNOWLEDGED', 'SHUTDOWN'],
  ...['TASK_ADDED', 'TASK_UPDATED', 'AGENT_ADDED', 'AGENT_REMOVED'],
  ...['FRAMEWORK_ADDED', 'FRAMEWORK_UPDATED', 'FRAMEWORK_REMOVED'],
]);

test('the recordings hold the 470 records and more that were made', () => {
  expect(streams.reduce((sum, { records }) => sum + records.length, 0)).toBeGreaterThan(460);
});

describe.each(streams)('$file, stream $stream', ({ records }) => {
  const bodies = records.map((record) => record.subarray(record.indexOf('\n') + 1));

  test('every record is a known event, byte by byte', () => {
    const decoder = new RecordDecoder();
    const got: Buffer[] = [];
    const bytes = Buffer.concat(records);
    for (let at = 0; at < bytes.length; at++) {
      for (const record of decoder.push(bytes.subarray(at, at + 1))) got.push(Buffer.from(record));
    }
    expect(decoder.atBoundary).toBe(true);
    expect(Buffer.concat(got).equals(Buffer.concat(bodies))).toBe(true);
    for (const record of got) expect(eventTypes).toContain((parseRecord(record) as { type: string }).type);
  });

  test('a cut at any byte changes nothing', () => {
    records.forEach((record, index) => {
      const body = bodies[index]!;
      for (let at = 1; at < record.length; at++) {
        const decoder = new RecordDecoder();
        const got = [record.subarray(0, at), record.subarray(at)].flatMap((part) => [...decoder.push(part)]);
        // Not `expect` in here: half a million of them take minutes.
        if (got.length !== 1 || !body.equals(got[0]!)) expect.fail(`cut at byte ${at} of record ${index}`);
      }
    });
  });
});
