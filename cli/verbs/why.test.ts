import { describe, expect, test } from 'vitest';
import type { Condition } from '#lib/api/meta.ts';
import { linesOf, troublesOf } from './why.ts';

const condition = (type: string, status: Condition['status']): Condition => ({
  type,
  status,
  reason: 'R',
  message: 'm',
  lastTransitionTime: '2026-01-01T00:00:00Z',
});

describe('troublesOf', () => {
  test('names causes before Ready, and nothing that is well', () => {
    const conditions = [
      condition('Ready', 'False'),
      condition('Fulfilled', 'False'),
      condition('Available', 'True'),
      condition('Stalled', 'True'),
      condition('Reconciling', 'True'),
    ];
    expect(troublesOf(conditions).map(({ type }) => type)).toEqual(['Fulfilled', 'Stalled', 'Ready']);
  });

  test('a condition that is bad news when True is well when False', () => {
    const fine = ['Stalled', 'DeletionBlocked', 'Emulated', 'Migrating', 'GCSuspended', 'Suspect'];
    expect(troublesOf(fine.map((type) => condition(type, 'False')))).toEqual([]);
  });

  test('what is not looked at yet is left out once something else is known to be wrong', () => {
    const waiting = condition('NetworkReady', 'Unknown');
    expect(troublesOf([condition('ImageReady', 'False'), waiting]).map(({ type }) => type)).toEqual(['ImageReady']);
    expect(troublesOf([waiting])).toEqual([waiting]);
  });
});

describe('linesOf', () => {
  const object = (kind: string, status: object) =>
    ({ kind, metadata: { name: 'a', uid: 'u', resourceVersion: '1', creationTimestamp: '' }, status }) as never;

  test('says a sentence once, with the condition that names the cause', () => {
    const conditions = [condition('Ready', 'False'), condition('Fulfilled', 'False')];
    expect(linesOf(object('ComputeFactory', { conditions }))).toEqual(['Fulfilled=False R: m', 'Ready=False R']);
  });

  test('names what there is to look at where no controller has spoken', () => {
    expect(linesOf(object('VirtualMachine', {})).join()).toContain('local status');
  });

  test('of a kind without conditions, the phase is what there is', () => {
    expect(linesOf(object('VMOperation', { phase: 'Failed', message: 'it is off' }))).toEqual(['Failed: it is off']);
    expect(linesOf(object('InstanceType', {}))).toEqual([]);
  });
});
