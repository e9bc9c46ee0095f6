import { expect, test } from 'vitest';
import { configuredFacts } from './configured-facts.ts';

const names = (count: number) => Array.from({ length: count }, (_, index) => `br${index}`);
const segments = { bridges: ['lan'], nics: ['eth1'] };

test('a real host tells which networks of the site guests may be put on, also that there are none', () => {
  expect(configuredFacts({ hypervisor: 'libvirt', segments })).toEqual({ segments });
  expect(configuredFacts({ hypervisor: 'libvirt' })).toEqual({ segments: { bridges: [], nics: [] } });
});

test('an imitated host tells what its configuration names, and denies nothing if it names none', () => {
  expect(configuredFacts({ hypervisor: 'sim', segments })).toEqual({ segments });
  expect(configuredFacts({ hypervisor: 'sim', tunnelAddress: '10.0.0.1' })).toEqual({ tunnelAddress: '10.0.0.1' });
});

test('a list that is too long is not told, since a part of it would deny the rest', () => {
  const long = (count: number) => ({ hypervisor: 'libvirt' as const, segments: { bridges: names(count), nics: [] } });
  expect(configuredFacts(long(256)).segments?.bridges).toHaveLength(256);
  expect(configuredFacts(long(257))).toEqual({});
});
