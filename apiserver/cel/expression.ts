/** What checking an expression makes of it: its type, and a function that computes it. */
import type { Budget } from './budget.ts';
import type { Node } from './syntax.ts';
import type { Type } from './types.ts';
import type { Value } from './values.ts';

/** One evaluation: what is left of the budget, and the values of variables by slot. */
export interface Frame {
  readonly budget: Budget;
  readonly locals: (Value | undefined)[];
}

export interface Expression {
  readonly type: Type;
  readonly run: (frame: Frame) => Value;
}

/** The variables that may be named at a place, and the first slot that none of them uses. */
export interface Scope {
  readonly variables: ReadonlyMap<string, { readonly slot: number; readonly type: Type }>;
  readonly next: number;
  /** Collects the names of variables that are used. */
  readonly used: Set<string>;
}

export type Compile = (node: Node, scope: Scope) => Expression;

export function declare(scope: Scope, name: string, type: Type): { scope: Scope; slot: number } {
  const slot = scope.next;
  return { slot, scope: { ...scope, variables: new Map(scope.variables).set(name, { slot, type }), next: slot + 1 } };
}
