import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { type Random, seededRandom } from '#lib/std/random.ts';
import { seed } from '#test/seed.ts';
import { parseLossless, stringifyLossless } from './json.ts';
import { RecordDecoder } from './recordio.ts';
import type { ApiName } from './schema/apis.ts';
import { check, checkMessage, ProtocolError, read } from './schema/codec.ts';
import { type Recorded, recordedExchanges } from './testing/recorded-steps.ts';
import { recordedStreams, recordingFiles } from './testing/recordings.ts';

const streams = recordingFiles().flatMap(recordedStreams);
const exchanges = recordingFiles().flatMap((file) => recordedExchanges(file).map((one) => ({ ...one, file })));

function bodyOf(record: Uint8Array): Buffer {
  const bytes = Buffer.from(record);
  return bytes.subarray(bytes.indexOf('\n') + 1);
}

/** Which API's events a stream has: they differ in what SUBSCRIBED says. A stream without one has an ERROR of a scheduler. */
function apiOf(records: readonly Buffer[]): ApiName {
  const first = bodyOf(records[0]!).toString();
  if (first.includes('"get_state"')) return 'masterEvent';
  return first.includes('"executor_info"') || first.includes('"SHUTDOWN"') ? 'executorEvent' : 'schedulerEvent';
}

/** Chunks of one byte up to several records: what a stream may look like after any number of proxies. */
function scatter(bytes: Buffer, random: Random): Uint8Array[] {
  const chunks: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; ) {
    const size = 1 + Math.floor(random.next() ** 4 * 6000);
    chunks.push(bytes.subarray(at, at + size));
    at += size;
  }
  return chunks;
}

test('the recordings hold the 470 records and more that were made', () => {
  expect(streams.reduce((sum, { records }) => sum + records.length, 0)).toBeGreaterThan(460);
  expect(exchanges.length).toBeGreaterThan(400);
});

describe.each(streams)('$file, stream $stream', ({ records }) => {
  const bodies = records.map(bodyOf);
  const whole = Buffer.concat(records);

  test('every record is an event of which every field is known', () => {
    const api = apiOf(records);
    for (const body of bodies) {
      const event = parseLossless(body.toString());
      // Strictly: a field of a real Mesos that the schema does not know fails here.
      check(api, event as object);
      const before = stringifyLossless(event);
      expect(read(api, event)).toBe(event);
      expect(stringifyLossless(event)).toBe(before);
    }
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

  test('byte by byte, and joined and cut at random, it is the same', () => {
    const random = seededRandom(seed);
    const ways = [
      Array.from({ length: whole.length }, (_, at) => whole.subarray(at, at + 1)),
      ...Array.from({ length: 20 }, () => scatter(whole, random)),
    ];
    for (const chunks of ways) {
      const decoder = new RecordDecoder();
      const got = chunks.flatMap((chunk) => [...decoder.push(chunk)]).map((record) => Buffer.from(record));
      expect(decoder.atBoundary).toBe(true);
      expect(got.length).toBe(bodies.length);
      expect(Buffer.concat(got).equals(Buffer.concat(bodies))).toBe(true);
    }
  });
});

/** The API that a request speaks, by its path and, where master and agent share one, by what the recording is of. */
function callApi({
  path,
  file,
}: Recorded & { readonly file: string }): 'scheduler' | 'executor' | 'agent' | 'master' | undefined {
  if (path.endsWith('/api/v1/scheduler')) return 'scheduler';
  if (path.endsWith('/api/v1/executor')) return 'executor';
  if (!path.endsWith('/api/v1')) return undefined;
  return file.startsWith('10-') ? 'agent' : 'master';
}

const isJson = (text: string) => text.startsWith('{');

/** Some recordings are of commands and pages only. */
const callsByFile = recordingFiles()
  .map((file) => ({
    file,
    own: exchanges.filter((one) => one.file === file && callApi(one) !== undefined && isJson(one.body)),
  }))
  .filter(({ own }) => own.length > 0);

describe.each(callsByFile)('$file', ({ own }) => {
  test('what a real Mesos accepted passes the check, what it could not read does not', () => {
    for (const one of own) {
      const call = (): void => check(`${callApi(one)!}Call`, parseLossless(one.body) as object);
      const { status, body } = one.answer;
      if (status < 300 && !isWrongInSilence(one)) expect(call, one.body).not.toThrow();
      if (status === 400 && /^Failed to (convert|parse)|Expecting '(type|\w+)' to be present$/.test(body)) {
        if (!isValidAlone(one)) expect(call, one.body).toThrow(/./);
      }
    }
  });

  test('every answer is one of which every field is known', () => {
    for (const one of own) {
      // The recorder cut the answers of GET_METRICS short.
      if (one.answer.status !== 200 || !isJson(one.answer.body) || /\[cut, \d+ bytes\]$/.test(one.answer.body))
        continue;
      const answer = parseLossless(one.answer.body) as object;
      check(callApi(one) === 'agent' ? 'agentResponse' : 'masterResponse', answer);
    }
  });
});

/** Mesos accepted and ignored: what our check is there to find. */
function isWrongInSilence(one: Recorded): boolean {
  return /no_such_field|unknown_field|bogus/.test(one.body);
}

/** The mistake is in the headers or in who sends it. */
function isValidAlone(one: Recorded): boolean {
  return /'Content-Type'|'Mesos-Stream-Id'|framework_id/.test(one.answer.body);
}

describe('fixtures', () => {
  const folder = join(import.meta.dirname, 'testdata/fixtures');
  const text = (name: string) => readFileSync(join(folder, `${name}.json`), 'utf8');
  const index = JSON.parse(text('index')) as Record<string, string>;

  test.each(Object.entries(index))('%s is a valid %s', (name, type) => {
    const value = parseLossless(text(name)) as object;
    const [, api, kind] = /^mesos\.v1\.(\w+)\.(\w+)$/.exec(type) ?? [];
    if (api === undefined) return checkMessage(type.slice('mesos.v1.'.length), value);
    const name_ = `${api}${kind}` as ApiName;
    check(name_, value);
    expect(read(name_, value)).toBe(value);
  });
});

describe('check', () => {
  const kill = { type: 'KILL', framework_id: { value: 'f' }, kill: { task_id: { value: 't' } } };

  test.each([
    ['a field name of another style', { ...kill, kill: { ...kill.kill, agentId: { value: 'a' } } }, 'agentId'],
    ['a field beside the body', { ...kill, frameworkId: { value: 'f' } }, 'frameworkId'],
    ['a missing id', { ...kill, kill: {} }, 'kill.task_id is missing'],
    ['a missing body', { type: 'KILL', framework_id: { value: 'f' } }, 'has no "kill"'],
    ['a call that does not exist', { type: 'KILLALL' }, 'no type'],
    ['a null', { ...kill, framework_id: null }, 'framework_id'],
    ['text for a number', { type: 'DECLINE', decline: { filters: { refuse_seconds: '5' } } }, 'no double'],
    [
      'a rounded integer',
      { ...kill, kill: { ...kill.kill, kill_policy: { grace_period: { nanoseconds: 2 ** 60 } } } },
      'int64',
    ],
    [
      'bytes that are no base64',
      { type: 'MESSAGE', message: { agent_id: { value: 'a' }, executor_id: { value: 'e' }, data: '!' } },
      'bytes',
    ],
  ])('finds %s', (_, call, message) => {
    expect(() => check('schedulerCall', call)).toThrow(ProtocolError);
    expect(() => check('schedulerCall', call)).toThrow(message);
  });
});

describe('read', () => {
  const status = { task_id: { value: 't' }, state: 'TASK_RUNNING' };
  const update = (more: object) => ({ type: 'UPDATE', update: { status: { ...status, ...more } } });

  test.each([
    ['keeps fields it does not know', update({ brand_new: 1 }), update({ brand_new: 1 })],
    ['takes null for absent', update({ message: null }), update({})],
    ['reads numbers from text', update({ timestamp: '1.5' }), update({ timestamp: 1.5 })],
    ['drops words an optional enum does not have', update({ source: 'SOURCE_MOON' }), update({})],
    ['keeps reasons it never heard of', update({ reason: 'REASON_NEW' }), update({ reason: 'REASON_NEW' })],
  ])('%s', (_, given, expected) => {
    expect(read('schedulerEvent', given)).toEqual(expected);
  });

  test('reads integers from text without loss', () => {
    const event = update({ unreachable_time: { nanoseconds: '1795215441533989888' } });
    expect(read('schedulerEvent', event)).toEqual(update({ unreachable_time: { nanoseconds: 1795215441533989888n } }));
  });

  test('gives nothing for an event of a newer Mesos', () => {
    expect(read('schedulerEvent', { type: 'TELEPATHY' })).toBeUndefined();
  });

  test('refuses a message that lacks what it must have, naming it', () => {
    expect(() => read('schedulerEvent', { type: 'RESCIND', rescind: {} })).toThrow('rescind.offer_id is missing');
    expect(() => read('schedulerEvent', update({ state: 'TASK_MELTED' }))).toThrow('TASK_MELTED');
  });
});

test('an integer of 64 bits survives the way there and back', () => {
  const text = '{"start":{"nanoseconds":1795215441533989888},"small":12,"float":1.5e+300}';
  expect(stringifyLossless(parseLossless(text))).toBe(
    '{"start":{"nanoseconds":1795215441533989888},"small":12,"float":1.5e+300}',
  );
});
