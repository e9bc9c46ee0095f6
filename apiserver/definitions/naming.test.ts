import { expect, test } from 'vitest';
import type { StoredObject } from '#apiserver/json/object.ts';
import { asCrd, type CrdSpec, isTrue, type StoredCrd } from '#apiserver/resources/crd.ts';
import { definitionKind } from './kind.ts';
import { settleNames } from './naming.ts';
import { definition } from './testdata.ts';

const now = '2026-01-01T00:00:00Z';
const crdOf = (kind: string, names: CrdSpec['names'], more: Partial<CrdSpec> = {}): StoredCrd =>
  asCrd({
    ...definition(kind, { names, ...more }),
    metadata: { name: `${names.plural}.x` },
  } as unknown as StoredObject);

function established(crds: readonly StoredCrd[]): string[] {
  const settled = settleNames(crds, [definitionKind], now);
  return crds.map(({ metadata }) => metadata.name).filter((name) => isTrue(settled.get(name), 'Established'));
}

const cup = crdOf('Cup', { plural: 'cups', singular: 'cup', kind: 'Cup', listKind: 'CupList', shortNames: ['c'] });

test('the oldest of those who want a name gets it', () => {
  const mug = crdOf('Mug', { plural: 'mugs', kind: 'Mug', shortNames: ['c'] });
  const bowl = crdOf('Bowl', { plural: 'bowls', kind: 'Cup' });
  expect(established([cup, mug, bowl])).toEqual(['cups.x']);
  // Of what the second wants, the kind was free: it holds that, though it is not served.
  expect(established([mug, cup, bowl])).toEqual(['mugs.x']);
});

test('whoever has a name keeps it, also against an older one', () => {
  const status = settleNames([cup], [], now).get('cups.x')!;
  const older = crdOf('Jug', { plural: 'jugs', singular: 'cup', kind: 'Jug' });
  const settled = settleNames([older, { ...cup, status }], [], now);
  expect(settled.get('cups.x')).toEqual(status);
  expect(settled.get('jugs.x')?.conditions).toMatchObject([
    { type: 'NamesAccepted', status: 'False', reason: 'SingularConflict', message: '"cup" is already in use' },
    { type: 'Established', status: 'False', reason: 'NotAccepted' },
  ]);
});

test('one that is established stays so and keeps its names when it asks for taken ones', () => {
  const jug = crdOf('Jug', { plural: 'jugs', singular: 'jug', kind: 'Jug', listKind: 'JugList', shortNames: ['j'] });
  const first = settleNames([cup, jug], [], now);
  const greedy: StoredCrd = {
    ...jug,
    spec: { ...jug.spec, names: { ...jug.spec.names, shortNames: ['c', 'k'] } },
    status: first.get('jugs.x')!,
  };
  const status = settleNames([{ ...cup, status: first.get('cups.x')! }, greedy], [], now).get('jugs.x');
  expect(isTrue(status, 'Established')).toBe(true);
  expect(status?.acceptedNames?.shortNames).toEqual(['j']);
  expect(status?.conditions).toMatchObject([{ type: 'NamesAccepted', reason: 'ShortNamesConflict' }, {}]);
});

test('names of another group, and those of built-in kinds in other groups, are free', () => {
  const elsewhere = crdOf('Cup', { plural: 'cups2', kind: 'Cup' }, { group: 'other.example.dev' });
  const crd = crdOf('Crd', { plural: 'crds', kind: 'CustomResourceDefinition' });
  expect(established([cup, elsewhere, crd])).toHaveLength(3);
  expect(established([crdOf('Crd', { plural: 'crds', kind: 'X' }, { group: 'apiextensions.k8s.io' })])).toEqual([]);
});

test('what is settled is settled: a second look changes nothing', () => {
  const settled = settleNames([cup], [], now);
  expect(settleNames([{ ...cup, status: settled.get('cups.x')! }], [], '2027-01-01T00:00:00Z')).toEqual(settled);
});
