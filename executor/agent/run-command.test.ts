import { expect, test } from 'vitest';
import { systemClock } from '#lib/std/clock.ts';
import { type AgentCommand, MachineError } from '../hypervisor.ts';
import { outputBytesMax, runCommand } from './run-command.ts';

/** An agent that says these things to guest-exec-status, one after the other, the last for ever. */
function scripted(...statuses: readonly unknown[]) {
  const asked: AgentCommand[] = [];
  let at = 0;
  return {
    asked,
    agent: async (_uid: string, command: AgentCommand) => {
      asked.push(command);
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
  expect(agent.asked.map(({ execute }) => execute)).toEqual(['guest-exec', 'guest-exec-status', 'guest-exec-status']);
  expect(agent.asked[0]?.arguments).toEqual({ path: 'ls', arg: ['-l', '$HOME; x'], 'capture-output': true });
  expect(agent.asked[1]?.arguments).toEqual({ pid: 7 });
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
