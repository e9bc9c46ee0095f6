import { describe, expect, test } from 'vitest';
import type { Condition } from '#lib/api/meta.ts';
import { troublesOf } from './why.ts';

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
    expect(troublesOf([condition('Stalled', 'False'), condition('DeletionBlocked', 'False')])).toEqual([]);
  });
});
