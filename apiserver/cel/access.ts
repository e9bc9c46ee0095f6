/** Fields of objects, keys of maps and items of lists, whether they must be there or may be missing. */
import { compileCall } from './calls.ts';
import { CompileError } from './errors.ts';
import type { Compile, Expression, Scope } from './expression.ts';
import { functionsNamed } from './functions/library.ts';
import { fieldOf, noSuchKey } from './functions/operators.ts';
import type { Node } from './syntax.ts';
import { bool, dyn, optionalOf, showType, type Type } from './types.ts';
import { ObjectValue, Optional, type Value } from './values.ts';

type SelectNode = Node & { readonly kind: 'select' };
type CallNode = Node & { readonly kind: 'call' };

/** `a.b`; `a.?b`, which is optional; and `a.b` where a is optional, which is optional too. */
export function compileSelect(node: SelectNode, scope: Scope, compile: Compile): Expression {
  const operand = compile(node.operand, scope);
  const { field } = node;
  const inner = operand.type.kind === 'optional' ? operand.type.of : operand.type;
  const type = fieldType(inner, field, node.at);
  if (!node.optional && operand.type.kind !== 'optional') {
    const run: Expression['run'] = (frame) => {
      frame.budget.charge(1);
      const owner = operand.run(frame);
      if (owner instanceof Optional) return optionalField(owner, field);
      const value = fieldOf(owner, field);
      if (value === undefined) throw noSuchKey(field);
      return value;
    };
    return { type, run };
  }
  return {
    type: optionalOf(type),
    run: (frame) => {
      frame.budget.charge(1);
      return optionalField(operand.run(frame), field);
    },
  };
}

function optionalField(owner: Value, field: string): Value {
  const inside = owner instanceof Optional ? owner.value : owner;
  const value = inside === undefined ? undefined : fieldOf(inside, field);
  return value === undefined ? Optional.none : new Optional(value);
}

function fieldType(type: Type, field: string, at: number): Type {
  switch (type.kind) {
    case 'dyn':
      return dyn;
    case 'map':
      return type.value;
    case 'object': {
      const found = type.fields.get(field);
      if (found) return found;
      throw new CompileError(`undefined field '${field}'`, at);
    }
    default:
      throw new CompileError(`type '${showType(type)}' does not support field selection`, at);
  }
}

/** has(a.b): whether b is there. An a that is not there is an error, unless it is optional. */
export function compileHas(node: CallNode, scope: Scope, compile: Compile): Expression {
  const [argument] = node.args;
  if (argument?.kind !== 'select') throw new CompileError('invalid argument to has() macro', argument?.at ?? node.at);
  const operand = compile(argument.operand, scope);
  const { field } = argument;
  fieldType(operand.type.kind === 'optional' ? operand.type.of : operand.type, field, argument.at);
  return {
    type: bool,
    run: (frame) => {
      frame.budget.charge(1);
      const owner = operand.run(frame);
      const inside = owner instanceof Optional ? owner.value : owner;
      if (inside === undefined) return false;
      return inside instanceof ObjectValue ? inside.has(field) : fieldOf(inside, field) !== undefined;
    },
  };
}

/** `a[b]` and `a[?b]`, also of what is optional. */
export function compileIndex(node: CallNode, scope: Scope, compile: Compile): Expression {
  const [operand, index] = node.args.map((arg) => compile(arg, scope)) as [Expression, Expression];
  const name = operand.type.kind === 'optional' ? '_[?_]' : node.name;
  if (operand.type.kind !== 'optional')
    return compileCall({ name, at: node.at, method: false, args: [operand, index] }, functionsNamed(name));
  const inner: Expression = { type: operand.type.of, run: (frame) => (operand.run(frame) as Optional).value! };
  const present = compileCall({ name, at: node.at, method: false, args: [inner, index] }, functionsNamed(name));
  return {
    type: present.type,
    run: (frame) => ((operand.run(frame) as Optional).value === undefined ? Optional.none : present.run(frame)),
  };
}
