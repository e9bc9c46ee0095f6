import { describe, expect, test } from 'vitest';
import { runCommandLine, verbs } from './main.ts';
import type { Output } from './output.ts';

function recorded(): Output & { readonly lines: string[]; readonly errors: string[] } {
  const lines: string[] = [];
  const errors: string[] = [];
  return {
    lines,
    errors,
    isTerminal: false,
    line: (text) => lines.push(text),
    progress: () => {},
    error: (text) => errors.push(text),
  };
}

describe('runCommandLine', () => {
  test('lists every verb', async () => {
    const out = recorded();
    expect(await runCommandLine(['--help'], out)).toBe(0);
    for (const { name } of verbs) expect(out.lines.join('\n')).toContain(`  ${name} `);
  });

  test.each(verbs.map(({ name }) => name))('%s --help shows its usage and an example of itself', async (name) => {
    const out = recorded();
    expect(await runCommandLine([name, '--help'], out)).toBe(0);
    expect(out.lines.join('\n')).toContain(`Usage: factoryctl ${name}`);
  });

  test.each([
    [[], /Usage/],
    [['fly'], /There is no verb "fly"/],
    [['get', '--colour'], /Unknown option '--colour'.*factoryctl get --help/],
    [['local', 'sideways'], /local up, status or down, not "sideways"/],
    [['local', 'up', '--hosts', 'many'], /--hosts takes a whole number, not "many"/],
    [['local', 'up', '--mesos', 'zk://h:2181'], /takes local, .* not "zk:..h:2181"/],
    [['apply'], /-f FILE/],
    [['scale', 'cf/render'], /Give --replicas=N/],
  ])('%j is a usage error', async (args, expected) => {
    const out = recorded();
    expect(await runCommandLine(args, out)).toBe(2);
    expect([...out.lines, ...out.errors].join('\n')).toMatch(expected);
  });
});
