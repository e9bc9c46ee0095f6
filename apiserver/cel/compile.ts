/** Checks an expression against the types of its variables and makes a function of it. */

import { compileHas, compileIndex, compileSelect } from './access.ts';
import type { Budget } from './budget.ts';
import { checkLiterals, compileCall } from './calls.ts';
import { CompileError, EvaluationError, noOverload } from './errors.ts';
import type { Expression, Frame, Scope } from './expression.ts';
import { functionsNamed, methodsNamed } from './functions/library.ts';
import { macroOf, truth } from './macros.ts';
import { type Literal, type Node, readExpression } from './syntax.ts';
import { bool, dyn, join, listOf, mapOf, scalar, showType, type Type, typeType } from './types.ts';
import { mapKey, TypeValue, type Value } from './values.ts';

export interface Variable {
  readonly name: string;
  readonly type: Type;
}

export interface Program {
  readonly type: Type;
  /** The variables that the expression names. */
  readonly uses: ReadonlySet<string>;
  /** Values in the order of the variables. EvaluationError, or CostError beyond the budget. */
  evaluate(values: readonly (Value | undefined)[], budget: Budget): Value;
}

/** CompileError for a text that is no expression or does not fit the types of the variables. */
export function compileProgram(text: string, variables: readonly Variable[]): Program {
  const used = new Set<string>();
  const known = new Map(variables.map(({ name, type }, slot) => [name, { slot, type }]));
  const { type, run } = compile(readExpression(text), { variables: known, next: variables.length, used });
  return { type, uses: used, evaluate: (values, budget) => run({ budget, locals: [...values] }) };
}

function compile(node: Node, scope: Scope): Expression {
  switch (node.kind) {
    case 'literal':
      return compileLiteral(node.value, node.at);
    case 'name':
      return compileName(node, scope);
    case 'select':
      return typeNamed(node, scope) ?? compileSelect(node, scope, compile);
    case 'list':
      return compileList(node.items, scope);
    case 'map':
      return compileMap(node.entries, scope);
    case 'call':
      return compileAnyCall(node, scope);
  }
}

function compileLiteral(value: Literal, at: number): Expression {
  if (typeof value === 'bigint' && BigInt.asIntN(64, value) !== value)
    throw new CompileError('invalid int literal', at);
  return { type: literalType(value), run: () => value };
}

function literalType(value: Literal): Type {
  if (value === null) return scalar('null');
  if (value instanceof Uint8Array) return scalar('bytes');
  const kinds = { boolean: 'bool', bigint: 'int', number: 'double', string: 'string', object: 'uint' } as const;
  return scalar(kinds[typeof value as keyof typeof kinds]);
}

function compileName(node: Node & { kind: 'name' }, scope: Scope): Expression {
  const variable = scope.variables.get(node.name);
  const type = variable ? undefined : typeNamed(node, scope);
  if (type) return type;
  if (!variable) throw new CompileError(`undeclared reference to '${node.name}' (in container '')`, node.at);
  scope.used.add(node.name);
  const { slot } = variable;
  return { type: variable.type, run: (frame) => local(frame, slot, node.name) };
}

function local(frame: Frame, slot: number, name: string): Value {
  frame.budget.charge(1);
  const value = frame.locals[slot];
  if (value === undefined) throw new EvaluationError(`no such attribute(s): ${name}`);
  return value;
}

const typeNames = new Set(
  'bool int uint double string bytes list map null_type type optional_type google.protobuf.Timestamp google.protobuf.Duration'.split(
    ' ',
  ),
);

/** The type that a name means, as in `type(self) == string`. */
function typeNamed(node: Node, scope: Scope): Expression | undefined {
  const name = pathOf(node, scope);
  if (name === undefined || !typeNames.has(name)) return undefined;
  const value = new TypeValue(name);
  return { type: typeType, run: () => value };
}

/** Names joined by dots, if the first of them is no variable: `google.protobuf.Duration`, the `sets` of sets.contains. */
function pathOf(node: Node, scope: Scope): string | undefined {
  if (node.kind === 'name') return scope.variables.has(node.name) ? undefined : node.name;
  if (node.kind !== 'select' || node.optional) return undefined;
  const before = pathOf(node.operand, scope);
  return before === undefined ? undefined : `${before}.${node.field}`;
}

function compileList(nodes: readonly Node[], scope: Scope): Expression {
  const items = nodes.map((node) => compile(node, scope));
  return {
    type: listOf(common(items)),
    run: (frame) => {
      frame.budget.charge(10 + items.length / 10);
      return items.map((item) => item.run(frame));
    },
  };
}

function compileMap(nodes: readonly (readonly [Node, Node])[], scope: Scope): Expression {
  const entries = nodes.map(([key, value]) => [compile(key, scope), compile(value, scope)] as const);
  return {
    type: mapOf(common(entries.map(([key]) => key)), common(entries.map(([, value]) => value))),
    run: (frame) => {
      frame.budget.charge(30 + entries.length / 10);
      const result = new Map<Value, Value>();
      for (const [key, value] of entries) addEntry(result, mapKey(key.run(frame)), value.run(frame));
      return result;
    },
  };
}

function addEntry(map: Map<Value, Value>, key: Value, value: Value): void {
  if (map.has(key)) throw new EvaluationError(`Failed with repeated key: ${String(key)}`);
  map.set(key, value);
}

/** The type of all of them, or dyn if they have none in common. */
function common(expressions: readonly Expression[]): Type {
  const [first, ...rest] = expressions;
  return rest.reduce((type, expression) => join(type, expression.type) ?? dyn, first?.type ?? dyn);
}

function compileAnyCall(node: Node & { kind: 'call' }, scope: Scope): Expression {
  switch (node.name) {
    case '_&&_':
      return compileLogic(node, scope, false);
    case '_||_':
      return compileLogic(node, scope, true);
    case '_?_:_':
      return compileChoice(node, scope);
    case '_[_]':
    case '_[?_]':
      return compileIndex(node, scope, compile);
  }
  if (node.name === 'has' && !node.target) return compileHas(node, scope, compile);
  const macro = macroOf(node);
  return macro ? macro(node, scope, compile) : compileFunction(node, scope);
}

function compileFunction(node: Node & { kind: 'call' }, scope: Scope): Expression {
  const path = node.target && pathOf(node.target, scope);
  const qualified = path === undefined ? [] : functionsNamed(`${path}.${node.name}`);
  const method = node.target !== undefined && qualified.length === 0;
  const name = qualified.length > 0 ? `${path}.${node.name}` : node.name;
  const overloads = method ? methodsNamed(name) : functionsNamed(name);
  if (overloads.length === 0) throw new CompileError(`undeclared reference to '${name}' (in container '')`, node.at);
  const nodes = method ? [node.target!, ...node.args] : node.args;
  const args = nodes.map((arg) => compile(arg, scope));
  const compiled = compileCall({ name, at: node.at, method, args }, overloads);
  checkLiterals(node, nodes, compiled);
  return compiled;
}

/** && and ||: a side that decides makes an error on the other side not count, whichever comes first. */
function compileLogic(node: Node & { kind: 'call' }, scope: Scope, decisive: boolean): Expression {
  const [left, right] = node.args.map((arg) => requireBool(compile(arg, scope), node)) as [Expression, Expression];
  return {
    type: bool,
    run: (frame) => {
      let failure: EvaluationError | undefined;
      try {
        if (truth(left.run(frame)) === decisive) return decisive;
      } catch (error) {
        if (!(error instanceof EvaluationError)) throw error;
        failure = error;
      }
      if (truth(right.run(frame)) === decisive) return decisive;
      if (failure) throw failure;
      return !decisive;
    },
  };
}

function requireBool(expression: Expression, node: Node & { kind: 'call' }): Expression {
  const { type } = expression;
  if (type.kind === 'bool' || type.kind === 'dyn') return expression;
  throw new CompileError(`found no matching overload for '${node.name}' applied to '(${showType(type)})'`, node.at);
}

function compileChoice(node: Node & { kind: 'call' }, scope: Scope): Expression {
  const [test, yes, no] = node.args.map((arg) => compile(arg, scope)) as [Expression, Expression, Expression];
  requireBool(test, node);
  const type = join(yes.type, no.type);
  if (!type)
    throw new CompileError(
      `found no matching overload for '_?_:_' applied to '(bool, ${showType(yes.type)}, ${showType(no.type)})'`,
      node.at,
    );
  return {
    type,
    run: (frame) => {
      const decided = test.run(frame);
      if (typeof decided !== 'boolean') throw noOverload();
      return decided ? yes.run(frame) : no.run(frame);
    },
  };
}
