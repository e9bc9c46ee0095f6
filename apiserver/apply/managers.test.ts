import { describe, expect, test } from 'vitest';
import type { JsonObject } from '#apiserver/json/json.ts';
import type { ManagedFieldsEntry } from '#apiserver/json/object.ts';
import { type ApplyRequest, apply } from './apply.ts';
import { collapseAtomic } from './atomic.ts';
import { mistakesIn } from './check.ts';
import { leaves } from './field-set.ts';
import { readFieldsV1, writeFieldsV1 } from './fields-v1.ts';
import { applyAsKubectl } from './last-applied.ts';
import { type Managers, readManagers, writeManagers } from './managers.ts';
import { merge } from './merge.ts';
import { pool, poolType, poolTypes, v1, v1alpha1 } from './testing/pool.ts';
import { toFieldSet } from './to-field-set.ts';
import { objectType, openLevels } from './type.ts';
import { update } from './update.ts';
import type { Writer } from './writer.ts';

const writer = (name: string, more: Partial<Writer> = {}): Writer => ({
  name,
  operation: 'Update',
  apiVersion: v1,
  subresource: '',
  time: '2026-01-01T00:00:00Z',
  reach: { type: 'but', name: 'status' },
  ...more,
});

const entry = (manager: string, fieldsV1: JsonObject, more: ManagedFieldsEntry = {}): ManagedFieldsEntry => ({
  manager,
  operation: 'Update',
  apiVersion: v1,
  fieldsType: 'FieldsV1',
  fieldsV1,
  ...more,
});

const replicas: JsonObject = { 'f:spec': { 'f:replicas': {} } };
const none: Managers = new Map();

function request(live: JsonObject, config: JsonObject, by: Writer, managers = none): ApplyRequest {
  return { live, config, managers, writer: by, types: poolTypes, force: false };
}

function managed(...entries: ManagedFieldsEntry[]): Managers {
  const managers = readManagers(entries);
  if (!managers) throw new Error('these entries are wrong');
  return managers;
}

describe('managedFields', () => {
  test.each([
    ['another operation', { operation: 'Delete' }],
    ['no apiVersion', { apiVersion: '' }],
    ['no fieldsType', { fieldsType: '' }],
    ['another fieldsType', { fieldsType: 'FieldsV2' }],
    ['steps that are none', { fieldsV1: { 'x:spec': {} } }],
    ['values for sets', { fieldsV1: { 'f:spec': 1 } }],
    ['keys that nest', { fieldsV1: { [`v:${'['.repeat(1e5)}${']'.repeat(1e5)}`]: {} } }],
    ['keys that are no JSON', { fieldsV1: { 'k:{': {} } }],
  ])('with %s are not understood', (_, wrong) => {
    expect(readManagers([entry('A', replicas), entry('B', replicas, wrong as ManagedFieldsEntry)])).toBeUndefined();
  });

  test('are sorted by operation, second, name', () => {
    const entries = [
      entry('B', replicas, { time: '2026-01-01T00:00:02Z' }),
      entry('C', replicas, { time: '2026-01-01T00:00:01Z' }),
      entry('A', replicas, { time: '2026-01-01T00:00:02Z' }),
      entry('D', replicas, { operation: 'Apply', time: '2026-01-01T00:00:03Z' }),
    ];
    expect(writeManagers(managed(...entries)).map(({ manager }) => manager)).toEqual(['D', 'C', 'A', 'B']);
  });

  test('are one for who applies in two versions, two for who updates in two', () => {
    const both = (operation: string) => [
      entry('A', replicas, { operation }),
      entry('A', {}, { operation, apiVersion: v1alpha1 }),
    ];
    expect(managed(...both('Apply')).size).toBe(1);
    expect(managed(...both('Update')).size).toBe(2);
  });

  test('steps are the same however a client spells them', () => {
    const spelt = { 'f:spec': { 'f:ports': { 'k:{"port":1, "name":"a"}': { '.': {} }, 'v: "t" ': {} } } };
    expect(writeFieldsV1(readFieldsV1(spelt))).toEqual({
      'f:spec': { 'f:ports': { 'k:{"name":"a","port":1}': {}, 'v:"t"': {} } },
    });
  });
});

describe('update', () => {
  test('by ever new names folds the oldest into ancient-changes', () => {
    let managers = none;
    let old = pool({});
    for (let day = 1; day <= 14; day++) {
      const next = pool({ ...(old.spec as JsonObject), nodeSelector: { ...selectorOf(old), [`k${day}`]: '1' } });
      const time = `2026-01-${String(day).padStart(2, '0')}T00:00:00Z`;
      managers = update(old, next, managers, writer(`m${day}`, { time }), poolTypes);
      old = next;
    }
    const entries = writeManagers(managers);
    expect(entries.map(({ manager }) => manager)).toEqual([
      'ancient-changes',
      ...[6, 7, 8, 9, 10, 11, 12, 13, 14].map((n) => `m${n}`),
    ]);
    expect(entries[0]).toMatchObject({
      time: '2026-01-05T00:00:00Z',
      fieldsV1: { 'f:spec': { 'f:nodeSelector': { '.': {}, 'f:k1': {}, 'f:k5': {} } } },
    });
  });

  const selectorOf = ({ spec }: JsonObject) => (spec as JsonObject).nodeSelector as JsonObject | undefined;

  test('drops what was said in a version that is gone, and keeps what was said in another one', () => {
    const before = managed(
      entry('gone', replicas, { apiVersion: 'factory.example.dev/v0' }),
      entry('other', { 'f:spec': { '.': {}, 'f:replicas': {}, 'f:image': {} } }, { apiVersion: v1alpha1 }),
    );
    const after = update(
      pool({ image: 'x', replicas: 1 }),
      pool({ image: 'x', replicas: 2 }),
      before,
      writer('U'),
      poolTypes,
    );
    expect(writeManagers(after)).toEqual([
      entry('other', { 'f:spec': { '.': {}, 'f:image': {} } }, { apiVersion: v1alpha1 }),
      entry('U', replicas, { time: '2026-01-01T00:00:00Z' }),
    ]);
  });

  test('of the status leaves the rest alone, and the other way round', () => {
    const next = { ...pool({ image: 'x' }), status: { replicas: 1 } };
    const ofStatus = writer('S', { subresource: 'status', reach: { type: 'only', name: 'status' } });
    const [status] = writeManagers(update({}, next, none, ofStatus, poolTypes));
    expect(status?.fieldsV1).toEqual({ 'f:status': { '.': {}, 'f:replicas': {} } });
    const [main] = writeManagers(update({}, next, none, writer('M'), poolTypes));
    expect(main?.fieldsV1).toEqual({ 'f:spec': { '.': {}, 'f:image': {} } });
  });
});

describe('a list that has become atomic', () => {
  test('belongs as a whole to who owned something in it', () => {
    const list = { type: 'array', items: { type: 'object', properties: { name: { type: 'string' } } } } as const;
    const type = objectType({ type: 'object', properties: { ports: list, other: { type: 'string' } } });
    const set = readFieldsV1({ 'f:ports': { 'k:{"name":"a"}': { '.': {}, 'f:name': {} } }, 'f:other': {} });
    expect(writeFieldsV1(collapseAtomic(set, type))).toEqual({ 'f:other': {}, 'f:ports': {} });
  });
});

describe('what no schema describes', () => {
  test('is owned piece by piece, but not so deep that the object could not be sent back', () => {
    const deep = (levels: number): JsonObject => (levels === 0 ? { x: 1 } : { a: deep(levels - 1) });
    const set = toFieldSet(pool({ extra: deep(55) }), poolType);
    expect(leaves(set).map((path) => path.length)).toContain(3 + openLevels);
  });
});

describe('list items', () => {
  const keyed = objectType({
    type: 'object',
    properties: {
      ports: {
        type: 'array',
        'x-kubernetes-list-type': 'map',
        'x-kubernetes-list-map-keys': ['port', 'protocol'],
        items: {
          type: 'object',
          properties: { port: { type: 'integer' }, protocol: { type: 'string', default: 'TCP' } },
        },
      },
    },
  });

  test('are told apart by the defaults of their keys too', () => {
    const live = {
      ports: [
        { port: 1, protocol: 'TCP', name: 'a' },
        { port: 1, protocol: 'UDP' },
      ],
    };
    expect(merge(live, { ports: [{ port: 1, text: 'x' }] }, keyed)).toEqual({
      ports: [
        { port: 1, protocol: 'TCP', name: 'a' },
        { port: 1, protocol: 'UDP' },
      ],
    });
    expect(mistakesIn({ ports: [{ port: 1 }, { port: 1, protocol: 'TCP' }] }, keyed)).toEqual([
      '.ports: duplicate entries for key [port=1,protocol="TCP"]',
    ]);
  });
});

describe('mistakes', () => {
  test.each([
    [{ bogus: 1 }, '.spec.bogus: field not declared in schema'],
    [{ replicas: 'two' }, '.spec.replicas: expected numeric (int or float), got string'],
    [{ image: {} }, '.spec.image: expected string, got map'],
    [{ ports: {} }, '.spec.ports: expected list, got map'],
    [{ nodeSelector: [] }, '.spec.nodeSelector: expected map, got list'],
    [{ tags: ['a', 'a'] }, '.spec.tags: duplicate entries for key [="a"]'],
    [{ ports: [{ name: 'a', port: 'x' }] }, '.spec.ports[name="a"].port: expected numeric (int or float), got string'],
  ])('in %j are told with their place', (spec, mistake) => {
    expect(mistakesIn(pool(spec as JsonObject), poolType)).toEqual([mistake]);
  });
});

describe('kubectl', () => {
  const annotation = 'kubectl.kubernetes.io/last-applied-configuration';
  const kubectl = writer('kubectl', { operation: 'Apply' });
  const applied = (spec: JsonObject, last: JsonObject) =>
    pool(spec, { annotations: { [annotation]: `${JSON.stringify(pool(last))}\n` } });
  const before = managed(
    entry('kubectl-client-side-apply', { 'f:spec': { '.': {}, 'f:image': {}, 'f:replicas': {} } }),
  );

  test('may change without force what is still as it applied it, and keeps its annotation in step', () => {
    const live = applied({ image: 'x', replicas: 1 }, { image: 'x', replicas: 1 });
    const result = applyAsKubectl(request(live, pool({ image: 'x', replicas: 2 }), kubectl, before));
    expect(result).toMatchObject({
      ok: true,
      object: applied({ image: 'x', replicas: 2 }, { image: 'x', replicas: 2 }),
    });
  });

  test.each([
    ['what others have changed since', applied({ image: 'x', replicas: 5 }, { image: 'x', replicas: 1 }), 'kubectl'],
    ['without that annotation', pool({ image: 'x', replicas: 1 }), 'kubectl'],
    ['with one that is no JSON', pool({ replicas: 1 }, { annotations: { [annotation]: '{' } }), 'kubectl'],
    ['under another name', applied({ image: 'x', replicas: 1 }, { image: 'x', replicas: 1 }), 'mine'],
  ])('may not: %s', (_, live, name) => {
    const result = applyAsKubectl(request(live, pool({ replicas: 2 }), { ...kubectl, name }, before));
    expect(result).toMatchObject({ ok: false, conflicts: [{ path: ['f:spec', 'f:replicas'] }] });
  });
});

describe('apply', () => {
  test('to an object that nobody has tracked makes everything that is there somebody’s', () => {
    const result = apply(request(pool({ image: 'x' }), pool({ image: 'y' }), writer('A', { operation: 'Apply' })));
    expect(result).toMatchObject({ ok: false, conflicts: [{ manager: { name: 'before-first-apply' } }] });
  });

  test('touches no prototype, whatever fields are called', () => {
    const hostile = JSON.parse('{"__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":1}}}') as JsonObject;
    const result = apply({ ...request(pool({ extra: { a: 1 } }), pool({ extra: hostile }), writer('A')), force: true });
    expect(result.ok && Object.keys((result.object.spec as JsonObject).extra as JsonObject)).toEqual([
      'a',
      '__proto__',
      'constructor',
    ]);
    expect(Object.prototype).not.toHaveProperty('polluted');
    expect(Object.keys(writeFieldsV1(readFieldsV1({ 'f:__proto__': {}, 'f:constructor': {} })))).toHaveLength(2);
  });
});
