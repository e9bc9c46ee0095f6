import { expect, test } from 'vitest';
import { machineNamed } from './machine.ts';

test.each([
  [['web'], 'web'],
  [['vm', 'web'], 'web'],
  [['virtualmachines', 'web'], 'web'],
  [['vm/web'], 'web'],
  [['vm'], 'vm'],
])('%j names one machine', (positionals, name) => {
  expect(machineNamed(positionals, 'log')).toBe(name);
});

test.each([[[]], [['web', 'other']], [['host/web']], [['vm', 'web', 'other']], [['vm/']]])(
  '%j does not',
  (positionals) => {
    expect(() => machineNamed(positionals, 'log')).toThrow('factoryctl log NAME');
  },
);
