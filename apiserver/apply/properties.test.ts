/** What holds of server-side apply whatever is applied. */

import { afterEach, describe, expect, test } from 'vitest';
import { at, isObject, type Json, type JsonObject } from '#apiserver/json/json.ts';
import { fc } from '#test/properties.ts';
import { apply } from './apply.ts';
import { mistakesIn } from './check.ts';
import { compare, isSame } from './compare.ts';
import { difference, intersection, isNothing, leaves, nothing, sameFields, union } from './field-set.ts';
import { readFieldsV1, writeFieldsV1 } from './fields-v1.ts';
import { type Managers, readManagers, writeManagers } from './managers.ts';
import { merge } from './merge.ts';
import { removeFields } from './remove.ts';
import { anyPool, pool, poolType, poolTypes, v1 } from './testing/pool.ts';
import { toFieldSet } from './to-field-set.ts';
import { update } from './update.ts';
import { withoutIdentity } from './visible.ts';
import type { Writer } from './writer.ts';

const writer = (name: string, operation: Writer['operation'] = 'Apply'): Writer => ({
  name,
  operation,
  apiVersion: v1,
  subresource: '',
  time: '2026-01-01T00:00:00Z',
  reach: { type: 'but', name: 'status' },
});

const fields = anyPool.map((pool) => toFieldSet(pool, poolType));

afterEach(() => expect(Object.keys(Object.prototype)).toEqual([]));

describe('field sets', () => {
  test('come back from FieldsV1 as they were', () => {
    fc.assert(
      fc.property(fields, (set) => {
        expect(sameFields(readFieldsV1(writeFieldsV1(set)), set)).toBe(true);
      }),
    );
  });

  test('split by another set, and put together, are the same', () => {
    fc.assert(
      fc.property(fields, fields, (one, other) => {
        expect(sameFields(union(difference(one, other), intersection(one, other)), one)).toBe(true);
        expect(isNothing(intersection(difference(one, other), other))).toBe(true);
        expect(sameFields(union(one, other), union(other, one))).toBe(true);
      }),
    );
  });

  test('are nothing but objects of objects, or refused', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (json) => {
        try {
          const set = readFieldsV1(json as Json);
          expect(sameFields(readFieldsV1(writeFieldsV1(set)), set)).toBe(true);
        } catch (error) {
          expect(error).toBeInstanceOf(SyntaxError);
        }
      }),
    );
  });
});

describe('compare', () => {
  test('finds nothing between equals, and everything between nothing and something', () => {
    fc.assert(
      fc.property(anyPool, anyPool, (one, other) => {
        expect(isSame(compare(one, structuredClone(one), poolType))).toBe(true);
        const there = compare(one, other, poolType);
        const back = compare(other, one, poolType);
        expect(sameFields(there.added, back.removed)).toBe(true);
        expect(sameFields(there.modified, back.modified)).toBe(true);
      }),
    );
  });
});

describe('any JSON', () => {
  const shapeless = fc.dictionary(
    fc.constantFrom('image', 'ports', 'tags', 'nodeSelector', 'extra', 'x'),
    fc.jsonValue(),
  );
  const anything = shapeless.map((spec) => pool(spec as JsonObject));

  test('in place of what the schema says can be looked at, and is told before it is merged', () => {
    fc.assert(
      fc.property(anything, anything, (live, config) => {
        const { added, removed } = compare(live, config, poolType);
        expect(isNothing(intersection(added, removed))).toBe(true);
        removeFields(live, toFieldSet(config, poolType), poolType, 'empty');
        if (mistakesIn(config, poolType).length > 0) return;
        const managers = update({}, live, new Map(), writer('U', 'Update'), poolTypes);
        const by = { managers, writer: writer('A'), types: poolTypes, force: true };
        expect(apply({ live, config, ...by })).toMatchObject({ ok: true });
      }),
    );
  });
});

describe('merge', () => {
  test('has all of the configuration, and merging it again changes nothing', () => {
    fc.assert(
      fc.property(anyPool, anyPool, (live, config) => {
        const merged = merge(live, config, poolType);
        expect(merge(merged, config, poolType)).toEqual(merged);
        const missing = difference(toFieldSet(config, poolType), toFieldSet(merged, poolType));
        // A container that was empty in the configuration may have got something in it.
        for (const path of leaves(missing)) expect(isEmptyAt(config, path)).toBe(true);
      }),
    );
  });

  test('keeps the order of the configuration, and that of the live list among what is left', () => {
    const names = fc.uniqueArray(fc.constantFrom(...'abcdefgh'));
    fc.assert(
      fc.property(names, names, (live, config) => {
        const merged = merge(live, config, poolType.map!.fields.get('spec')!.map!.fields.get('tags')!) as string[];
        expect(merged.filter((name) => config.includes(name))).toEqual(config);
        expect(merged.filter((name) => !config.includes(name))).toEqual(live.filter((n) => !config.includes(n)));
      }),
    );
  });
});

function isEmptyAt(value: Json, path: readonly string[]): boolean {
  let here: Json | undefined = value;
  for (const step of path) here = isObject(here) ? at(here, step.slice(2)) : undefined;
  return isObject(here) && Object.keys(here).length === 0;
}

function withoutEmpty(pool: JsonObject): JsonObject {
  const entries = Object.entries(pool.spec as JsonObject).filter(
    ([, value]) => !Array.isArray(value) || value.length > 0,
  );
  return { ...pool, spec: Object.fromEntries(entries) };
}

interface State {
  readonly object: JsonObject | undefined;
  readonly managers: Managers;
}

interface Act {
  readonly who: string;
  readonly type: 'apply' | 'force' | 'update';
  readonly config: JsonObject;
}

const act: fc.Arbitrary<Act> = fc.record({
  who: fc.constantFrom('A', 'B', 'C'),
  type: fc.constantFrom('apply', 'force', 'update'),
  config: anyPool,
});

function perform(state: State, { who, type, config }: Act): State & { refused?: true } {
  if (type === 'update') {
    const managers = update(state.object ?? {}, config, state.managers, writer(who, 'Update'), poolTypes);
    return { object: config, managers };
  }
  const { object: live, managers } = state;
  const force = type === 'force';
  const result = apply({ live, config, managers, writer: writer(who), types: poolTypes, force });
  if (result.ok) return { object: result.object, managers: result.managers };
  expect(result.conflicts.map(({ manager }) => `${manager.name} ${manager.operation}`)).not.toContain(`${who} Apply`);
  return { ...state, refused: true };
}

describe('apply', () => {
  test('again with the same configuration changes nothing, but for a list that has become empty', () => {
    fc.assert(
      fc.property(fc.array(act, { maxLength: 5 }), anyPool, (acts, config) => {
        const before = acts.reduce<State>(perform, { object: undefined, managers: new Map() });
        const once = perform(before, { who: 'A', type: 'force', config });
        const twice = perform(once, { who: 'A', type: 'apply', config });
        // Its last item takes the list with it, and only the next apply finds that an empty one is asked for. So does Kubernetes.
        expect(withoutEmpty(twice.object!)).toEqual(withoutEmpty(once.object!));
        expect(perform(twice, { who: 'A', type: 'apply', config })).toEqual(twice);
        expect(writeManagers(twice.managers)).toEqual(writeManagers(once.managers));
      }),
    );
  });

  test('gives the last writer what it has asked for, and leaves no field that was asked for without an owner', () => {
    fc.assert(
      fc.property(fc.array(act, { minLength: 1, maxLength: 6 }), (acts) => {
        let state: State = { object: undefined, managers: new Map() };
        for (const next of acts) {
          const after = perform(state, next);
          if (!after.refused) expectOwned(after, next);
          state = after;
          expect(readManagers(writeManagers(state.managers))).toEqual(state.managers);
        }
      }),
    );
  });

  function expectOwned({ object, managers }: State, { type, config }: Act): void {
    const owned = [...managers.values()].reduce((sum, manager) => union(sum, manager.fields), nothing);
    const asked = withoutIdentity(toFieldSet(config, poolType));
    if (type !== 'update') expect(leaves(difference(asked, owned))).toEqual([]);
    // An empty list whose items have owners says nothing: it may be there or not.
    const { added, modified } = compare(object!, merge(object, config, poolType), poolType);
    expect(leaves(union(intersection(added, asked), modified))).toEqual([]);
  }

  test('of less takes back what nobody else wants', () => {
    fc.assert(
      fc.property(anyPool, anyPool, (one, other) => {
        const first = perform({ object: undefined, managers: new Map() }, { who: 'A', type: 'apply', config: one });
        const second = perform(first, { who: 'A', type: 'apply', config: other });
        expect(sameFields(toFieldSet(second.object!, poolType), toFieldSet(other, poolType))).toBe(true);
      }),
    );
  });

  test('without force either conflicts or takes nothing from anybody', () => {
    fc.assert(
      fc.property(anyPool, anyPool, (one, other) => {
        const first = perform({ object: undefined, managers: new Map() }, { who: 'A', type: 'apply', config: one });
        const second = perform(first, { who: 'B', type: 'apply', config: other });
        const before = [...first.managers.values()].find(({ name }) => name === 'A');
        const after = [...second.managers.values()].find(({ name }) => name === 'A');
        expect(after).toEqual(before);
      }),
    );
  });
});
