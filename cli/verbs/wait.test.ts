import { describe, expect, test } from 'vitest';
import { readGoal } from './wait.ts';

const object = (status: string, observedGeneration: number, generation = 2) => ({
  metadata: { generation },
  status: { phase: 'Running', conditions: [{ type: 'Ready', status, observedGeneration }] },
});

describe('readGoal', () => {
  test('condition holds only for the generation that is there', () => {
    const holds = readGoal('condition=Ready');
    expect(holds(object('True', 2))).toBe(true);
    expect(holds(object('True', 1))).toBe(false);
    expect(holds(object('False', 2))).toBe(false);
    expect(holds(undefined)).toBe(false);
  });

  test('condition takes a status', () => {
    expect(readGoal('condition=ready=false')(object('False', 2))).toBe(true);
  });

  test('jsonpath compares text', () => {
    expect(readGoal('jsonpath={.status.phase}=Running')(object('True', 2))).toBe(true);
    expect(readGoal('jsonpath=.status.phase=Stopped')(object('True', 2))).toBe(false);
    expect(readGoal('jsonpath=.status.nothing')(object('True', 2))).toBe(false);
  });

  test('delete holds when there is no object', () => {
    expect(readGoal('delete')(undefined)).toBe(true);
  });

  test.each([undefined, 'ready', 'condition', 'jsonpath='])('refuses %s', (text) => {
    expect(() => readGoal(text)).toThrow('--for takes');
  });
});
