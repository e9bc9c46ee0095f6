import { expect, test } from 'vitest';
import type { VirtualMachine } from './generated/virtualmachine.ts';
import { seedFormatOf, seedRefusal } from './seeds.ts';

const spec = (changes: object) => changes as VirtualMachine['spec'];

test.each([
  [{}, 'Linux', 'CloudInit'],
  [{ format: 'Auto' }, 'Other', 'CloudInit'],
  [{}, 'Windows', 'CloudbaseInit'],
  [{ format: 'Sysprep' }, 'Windows', 'Sysprep'],
  [{ format: 'CloudInit' }, 'Windows', 'CloudInit'],
  [{ format: 'ConfigDrive' }, 'Linux', 'ConfigDrive'],
] as const)('seedFormatOf(%j) with %s is %s', (changes, osType, format) => {
  expect(seedFormatOf(spec(changes), osType)).toBe(format);
});

test('seedRefusal() says what to do instead', () => {
  expect(seedRefusal(spec({ format: 'Ignition' }), 'Linux')).toContain('format: ConfigDrive');
  expect(seedRefusal(spec({ format: 'Sysprep', sshKeys: ['k'] }), 'Windows')).toContain('sshKeys');
  expect(seedRefusal(spec({ format: 'Sysprep', userData: '<unattend/>' }), 'Windows')).toBeUndefined();
  expect(seedRefusal(spec({ sshKeys: ['k'] }), 'Windows')).toBeUndefined();
});
