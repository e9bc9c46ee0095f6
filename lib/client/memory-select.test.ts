import { describe, expect, it } from 'vitest';
import type { KubeObject } from '#lib/api/meta.ts';
import { fieldSelector, labelSelector } from './memory-select.ts';

const object = (labels: Record<string, string>): KubeObject => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name: 'a', namespace: 'default', uid: 'u', resourceVersion: '1', creationTimestamp: '', labels },
});

describe('labelSelector()', () => {
  it.each<[string, boolean]>([
    ['', true],
    ['tier=web', true],
    ['tier==web,zone=x', false],
    ['tier!=web', false],
    ['zone!=x', true],
    ['tier in (db, web)', true],
    ['tier notin (db, web)', false],
    ['zone notin (x)', true],
    ['tier', true],
    ['!tier', false],
    ['example.com/role=', true],
    ['tier in (db,web),!zone', true],
  ])('%s: %s', (selector, expected) => {
    expect(labelSelector(selector)(object({ tier: 'web', 'example.com/role': '' }))).toBe(expected);
  });

  it('refuses what it cannot read', () => {
    expect(() => labelSelector('tier like web')).toThrow(/unable to parse/);
  });
});

describe('fieldSelector()', () => {
  it('selects by name and namespace, and refuses other fields', () => {
    expect(fieldSelector('metadata.name=a,metadata.namespace!=x')(object({}))).toBe(true);
    expect(fieldSelector('metadata.name=b')(object({}))).toBe(false);
    expect(() => fieldSelector('spec.replicas=1')).toThrow(/field label not supported/);
  });
});
