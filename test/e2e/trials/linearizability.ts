/**
 * Is there an order of these operations, each at one moment between its call and its return, in which all answers are right? The search of
 * Wing and Gong, with Lowe's memory of what was tried: two ways to the same set of operations done and the same state have one future.
 *
 * The object is a register that can be read, and changed by compare-and-swap. Values are told apart by text, so every write of a history
 * must write another one; undefined means that nothing is there.
 */
export type Value = string | undefined;

export type Action =
  | { readonly type: 'read'; readonly value: Value }
  /** It said that it changed `from` to `to`: a creation from undefined, a deletion to it. */
  | { readonly type: 'changed'; readonly from: Value; readonly to: Value }
  /** It said that it did not, because there was something else. */
  | { readonly type: 'refused'; readonly from: Value }
  /** It said nothing: perhaps it has changed it, perhaps it will. */
  | { readonly type: 'unknown'; readonly from: Value; readonly to: Value };

export interface Operation {
  readonly action: Action;
  readonly callMs: number;
  /** Infinity for one without an answer. */
  readonly returnMs: number;
}

/** `initial` is the value before the first operation. */
export function isLinearizable(history: readonly Operation[], initial: Value = undefined): boolean {
  const operations = [...history].sort((a, b) => a.callMs - b.callMs);
  const known = operations.filter(({ action }) => action.type !== 'unknown').length;
  const tried = new Set<string>();
  const stack: Step[] = [{ done: 0n, left: known, value: initial, first: 0 }];
  for (let step = stack.pop(); step; step = stack.pop()) {
    if (step.left === 0) return true;
    const key = `${step.done.toString(36)} ${step.value}`;
    if (tried.has(key)) continue;
    tried.add(key);
    stack.push(...nextSteps(operations, step));
  }
  return false;
}

interface Step {
  /** A bit for every operation that has had its moment. */
  readonly done: bigint;
  /** Answered operations that have yet to. */
  readonly left: number;
  readonly value: Value;
  /** All operations before this one are done. */
  readonly first: number;
}

/**
 * What may come next: whatever was called before the first return that is still to come. The likeliest is the last. What has no effect
 * and is right now may as well come at once: later it could only have become wrong.
 */
function nextSteps(operations: readonly Operation[], { done, left, value, first }: Step): Step[] {
  const found: { readonly step: Step; readonly returnMs: number }[] = [];
  let untilMs = Infinity;
  for (let i = first; i < operations.length && operations[i]!.callMs <= untilMs; i++) {
    if (isDone(done, i)) continue;
    const { action, returnMs } = operations[i]!;
    untilMs = Math.min(untilMs, returnMs);
    const after = apply(action, value);
    if (!after) continue;
    const unknown = action.type === 'unknown';
    const next = done | (1n << BigInt(i));
    const step = { done: next, left: unknown ? left : left - 1, value: after.value, first: firstLeft(next, first) };
    if (action.type === 'read' || action.type === 'refused') return [step];
    found.push({ step, returnMs });
  }
  return found.sort((a, b) => b.returnMs - a.returnMs).map(({ step }) => step);
}

function firstLeft(done: bigint, first: number): number {
  while (isDone(done, first)) first++;
  return first;
}

function isDone(done: bigint, index: number): boolean {
  return ((done >> BigInt(index)) & 1n) === 1n;
}

/** The state after it; undefined if its answer would be wrong here. Without an answer only the effect is of interest. */
function apply(action: Action, value: Value): { readonly value: Value } | undefined {
  switch (action.type) {
    case 'read':
      return action.value === value ? { value } : undefined;
    case 'refused':
      return action.from === value ? undefined : { value };
    case 'changed':
    case 'unknown':
      return action.from === value ? { value: action.to } : undefined;
  }
}
