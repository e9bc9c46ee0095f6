import { spawnSync } from 'node:child_process';
import { describe, expect, test } from 'vitest';
import { systemClock } from '#lib/std/clock.ts';
import { type AgentCommand, MachineError } from '../hypervisor.ts';
import { outputBytesMax, runCommand } from './run-command.ts';

/** An agent that says these things to guest-exec-status, one after the other, the last for ever. */
function scripted(...statuses: readonly unknown[]) {
  return scriptedOn({ id: 'mswindows' }, ...statuses);
}

function scriptedOn(os: unknown, ...statuses: readonly unknown[]) {
  const asked: AgentCommand[] = [];
  let at = 0;
  return {
    asked,
    agent: async (_uid: string, command: AgentCommand) => {
      asked.push(command);
      if (command.execute === 'guest-get-osinfo') return os;
      return command.execute === 'guest-exec' ? { pid: 7 } : statuses[Math.min(at++, statuses.length - 1)];
    },
  };
}

const run = async (
  hypervisor: ReturnType<typeof scripted>,
  { timeoutSeconds = 5, signal = new AbortController().signal } = {},
) =>
  await runCommand({ hypervisor, clock: systemClock, signal }, 'u', {
    command: ['ls', '-l', '$HOME; x'],
    timeoutSeconds,
  });

const base64 = (text: string) => Buffer.from(text).toString('base64');

test('words stay words, and it is waited for the end', async () => {
  const agent = scripted(
    { exited: false },
    { exited: true, exitcode: 2, 'out-data': base64('out'), 'err-data': base64('err') },
  );
  expect(await run(agent)).toMatchObject({
    exitCode: 2,
    stdout: base64('out'),
    stderr: base64('err'),
    truncated: false,
  });
  const [, run1, look1, look2] = agent.asked;
  expect([run1, look1, look2].map((each) => each?.execute)).toEqual([
    'guest-exec',
    'guest-exec-status',
    'guest-exec-status',
  ]);
  expect(run1?.arguments).toEqual({ path: 'ls', arg: ['-l', '$HOME; x'], 'capture-output': true });
  expect(look1?.arguments).toEqual({ pid: 7 });
});

test('killed is 128 and the signal; too much is cut and said to be', async () => {
  expect(await run(scripted({ exited: true, signal: 9 }))).toMatchObject({ exitCode: 137 });
  const much = await run(scripted({ exited: true, exitcode: 0, 'out-data': base64('x'.repeat(outputBytesMax + 1)) }));
  expect(much.truncated).toBe(true);
  expect(Buffer.from(much.stdout, 'base64')).toHaveLength(outputBytesMax);
  expect(await run(scripted({ exited: true, 'err-truncated': true }))).toMatchObject({ truncated: true });
});

test('one that does not end is not waited for longer than was said', async () => {
  const late = run(scripted({ exited: false }), { timeoutSeconds: 1 });
  await expect(late).rejects.toThrow('not ended within 1 s; it goes on in the machine as process 7');
  await expect(late).rejects.toBeInstanceOf(MachineError);
});

test('nobody waits for who has gone', async () => {
  await expect(run(scripted({ exited: false }), { signal: AbortSignal.abort(new Error('gone')) })).rejects.toThrow(
    'gone',
  );
});

test.each([[null], ['yes'], [[]], [{ exited: 'true' }], [{ exited: true, exitcode: {}, 'out-data': 5, signal: 'x' }]])(
  'whatever the agent of a guest says, such as %j, is no error of the host',
  async (status) => {
    const ended = await run(scripted(status, { exited: true, exitcode: 0 }));
    expect(ended.stdout).toBe('');
    expect(Number.isInteger(ended.exitCode)).toBe(true);
  },
);

describe('where there is a shell', () => {
  /** What the agent is told to run, run here. */
  async function runHere(...command: string[]) {
    const agent = scriptedOn({ id: 'debian' }, { exited: true, exitcode: 0 });
    await runCommand({ hypervisor: agent, clock: systemClock, signal: new AbortController().signal }, 'u', {
      command,
      timeoutSeconds: 5,
    });
    const { path, arg } = agent.asked[1]!.arguments as { path: string; arg: string[] };
    const { status, stdout, stderr } = spawnSync(path, arg, {
      maxBuffer: 2 ** 24,
      encoding: 'latin1',
      timeout: 10_000,
    });
    return { status, stdout, stderr };
  }

  test.each([
    [
      'words stay words',
      ['printf', '%s|', 'a  b', '$(id)', '', "it's"],
      { status: 0, stdout: "a  b|$(id)||it's|", stderr: '' },
    ],
    [
      'both streams and the code',
      ['sh', '-c', 'echo out; echo err >&2; exit 5'],
      { status: 5, stdout: 'out\n', stderr: 'err\n' },
    ],
    ['killed', ['sh', '-c', 'kill -9 $$'], { status: 137, stdout: '' }],
    ['no such program', ['there-is-no-such-program'], { status: 127, stdout: '' }],
    ['nothing typed', ['cat'], { status: 0, stdout: '' }],
  ])('%s', async (_, command, expected) => {
    expect(await runHere(...command)).toMatchObject(expected);
  });

  test('what is printed is cut in the guest, each stream for itself', async () => {
    const { status, stdout, stderr } = await runHere(
      'sh',
      '-c',
      'echo err >&2; exec dd if=/dev/zero bs=1M count=9 2>/dev/null',
    );
    expect([stdout.length, stderr, status]).toEqual([outputBytesMax + 1, 'err\n', 141]);
    const other = await runHere('sh', '-c', 'echo out; exec dd if=/dev/zero bs=1M count=9 >&2 2>/dev/null');
    expect(other.stdout).toBe('out\n');
  });
});
