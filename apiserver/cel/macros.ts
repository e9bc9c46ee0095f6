/** What looks like a call but evaluates its arguments by itself: has, all, exists, map, filter and their like. */
import type { Budget } from './budget.ts';
import { CompileError, EvaluationError, noOverload } from './errors.ts';
import { type Compile, declare, type Expression, type Frame, type Scope } from './expression.ts';
import { compare } from './functions/operators.ts';
import type { Node } from './syntax.ts';
import { bool, dyn, int, join, listOf, mapOf, optionalOf, showType, type Type } from './types.ts';
import { isList, isMap, mapKey, ObjectValue, Optional, type Value } from './values.ts';

type CallNode = Node & { readonly kind: 'call' };
type Macro = (node: CallNode, scope: Scope, compile: Compile) => Expression;

/** The macro that a call is, by its name and the number of arguments; undefined if it is a call of a function. */
export function macroOf(node: CallNode): Macro | undefined {
  const { name, target, args } = node;
  const key = `${target ? '.' : ''}${name}/${args.length}`;
  if (key === '.bind/3') return target?.kind === 'name' && target.name === 'cel' ? bindVariable : undefined;
  return Object.hasOwn(macros, key) ? macros[key] : undefined;
}

interface Loop {
  readonly scope: Scope;
  /** Calls `step` for each item with its variables set, until it says false. */
  readonly run: (frame: Frame, step: () => boolean) => void;
  readonly range: Type;
}

/** Over the items of a list or the keys of a map; with two variables, over indexes and items or keys and values. */
function loop(node: CallNode, names: 1 | 2, scope: Scope, compile: Compile): Loop {
  const range = compile(node.target!, scope);
  const [key, value] = variableTypes(range.type, node.target!);
  const first = declare(scope, nameOf(node.args[0]!), names === 1 ? singleType(range.type, key, value) : key);
  const second = names === 2 ? declare(first.scope, nameOf(node.args[1]!), value) : undefined;
  const run: Loop['run'] = (frame, step) => {
    for (const [itsKey, item] of entriesOf(range.run(frame), names)) {
      frame.budget.charge(1);
      frame.locals[first.slot] = itsKey;
      if (second) frame.locals[second.slot] = item;
      if (!step()) return;
    }
  };
  return { scope: second?.scope ?? first.scope, run, range: range.type };
}

function singleType(range: Type, key: Type, value: Type): Type {
  return range.kind === 'list' ? value : key;
}

function variableTypes(range: Type, at: Node): [Type, Type] {
  if (range.kind === 'list') return [int, range.item];
  if (range.kind === 'map') return [range.key, range.value];
  if (range.kind === 'dyn') return [dyn, dyn];
  throw new CompileError(
    `expression of type '${showType(range)}' cannot be range of a comprehension (must be list, map, or dynamic)`,
    at.at,
  );
}

function* entriesOf(range: Value, names: 1 | 2): Generator<readonly [Value, Value]> {
  if (isList(range)) {
    for (const [index, item] of range.entries()) yield names === 1 ? [item, item] : [BigInt(index), item];
  } else if (isMap(range)) yield* range;
  else if (range instanceof ObjectValue) for (const name of range.names()) yield [name, range.get(name) ?? null];
  else throw noOverload();
}

function nameOf(node: Node): string {
  if (node.kind === 'name') return node.name;
  throw new CompileError('argument must be a simple name', node.at);
}

function condition(node: Node, scope: Scope, compile: Compile): Expression {
  const compiled = compile(node, scope);
  if (compiled.type.kind === 'bool' || compiled.type.kind === 'dyn') return compiled;
  throw new CompileError(`expected type 'bool' but found '${showType(compiled.type)}'`, node.at);
}

export function truth(value: Value): boolean {
  if (typeof value === 'boolean') return value;
  throw noOverload();
}

/** all and exists: an item that decides counts for more than one that cannot be evaluated. */
function quantifier(names: 1 | 2, decisive: boolean): Macro {
  return (node, scope, compile) => {
    const items = loop(node, names, scope, compile);
    const test = condition(node.args[names]!, items.scope, compile);
    return {
      type: bool,
      run: (frame) => {
        let failure: EvaluationError | undefined;
        let decided = false;
        items.run(frame, () => {
          try {
            decided = truth(test.run(frame)) === decisive;
          } catch (error) {
            if (!(error instanceof EvaluationError)) throw error;
            failure ??= error;
          }
          return !decided;
        });
        if (!decided && failure) throw failure;
        return decided === decisive;
      },
    };
  };
}

function existsOne(names: 1 | 2): Macro {
  return (node, scope, compile) => {
    const items = loop(node, names, scope, compile);
    const test = condition(node.args[names]!, items.scope, compile);
    return {
      type: bool,
      run: (frame) => {
        let count = 0;
        items.run(frame, () => {
          if (truth(test.run(frame))) count++;
          return true;
        });
        return count === 1;
      },
    };
  };
}

/** map, and transformList: a list of what is made of each item, or of those that pass a filter. */
function transform(names: 1 | 2, filtered: boolean): Macro {
  return (node, scope, compile) => {
    const items = loop(node, names, scope, compile);
    const test = filtered ? condition(node.args[names]!, items.scope, compile) : undefined;
    const made = compile(node.args.at(-1)!, items.scope);
    return {
      type: listOf(made.type),
      run: (frame) => {
        const result: Value[] = [];
        items.run(frame, () => {
          if (!test || truth(test.run(frame))) result.push(made.run(frame));
          return true;
        });
        return result;
      },
    };
  };
}

const filter: Macro = (node, scope, compile) => {
  const items = loop(node, 1, scope, compile);
  const test = condition(node.args[1]!, items.scope, compile);
  const [key, value] = variableTypes(items.range, node);
  const slot = items.scope.next - 1;
  return {
    type: listOf(singleType(items.range, key, value)),
    run: (frame) => {
      const result: Value[] = [];
      items.run(frame, () => {
        const item = frame.locals[slot]!;
        if (truth(test.run(frame))) result.push(item);
        return true;
      });
      return result;
    },
  };
};

/** transformMap keeps the keys; transformMapEntry makes whole entries, each a map. */
function transformMap(entries: boolean, filtered: boolean): Macro {
  return (node, scope, compile) => {
    const items = loop(node, 2, scope, compile);
    const test = filtered ? condition(node.args[2]!, items.scope, compile) : undefined;
    const made = compile(node.args.at(-1)!, items.scope);
    const [key] = variableTypes(items.range, node);
    const slot = items.scope.next - 2;
    return {
      type: entries ? (made.type.kind === 'map' ? made.type : mapOf(dyn, dyn)) : mapOf(key, made.type),
      run: (frame) => {
        const result = new Map<Value, Value>();
        items.run(frame, () => {
          const itsKey = frame.locals[slot]!;
          if (!test || truth(test.run(frame)))
            if (entries) addEntries(result, made.run(frame), frame.budget);
            else result.set(mapKey(itsKey), made.run(frame));
          return true;
        });
        return result;
      },
    };
  };
}

function addEntries(result: Map<Value, Value>, entries: Value, budget: Budget): void {
  if (!isMap(entries)) throw noOverload();
  budget.charge(entries.size / 10);
  for (const [key, value] of entries) {
    if (result.has(key)) throw new EvaluationError(`insert failed: key ${String(key)} already exists`);
    result.set(key, value);
  }
}

/** optMap and optFlatMap: something made of the value, if there is one. */
function optional(flat: boolean): Macro {
  return (node, scope, compile) => {
    const operand = compile(node.target!, scope);
    const inner = operand.type.kind === 'optional' ? operand.type.of : dyn;
    if (operand.type.kind !== 'optional' && operand.type.kind !== 'dyn')
      throw new CompileError(`expected an optional but found '${showType(operand.type)}'`, node.target!.at);
    const variable = declare(scope, nameOf(node.args[0]!), inner);
    const made = compile(node.args[1]!, variable.scope);
    return {
      type: flat ? made.type : optionalOf(made.type),
      run: (frame) => {
        const value = valueIn(operand.run(frame));
        if (value === undefined) return Optional.none;
        frame.locals[variable.slot] = value;
        return flat ? made.run(frame) : new Optional(made.run(frame));
      },
    };
  };
}

function valueIn(optionalValue: Value): Value | undefined {
  if (optionalValue instanceof Optional) return optionalValue.value;
  throw noOverload();
}

/** or and orValue look at their argument only if there is nothing before it. */
function alternative(whole: boolean): Macro {
  return (node, scope, compile) => {
    const operand = compile(node.target!, scope);
    const other = compile(node.args[0]!, scope);
    const type = alternativeType(operand.type, other.type, whole);
    if (!type)
      throw new CompileError(
        `found no matching overload for '${node.name}' applied to '${showType(operand.type)}.(${showType(other.type)})'`,
        node.at,
      );
    return {
      type,
      run: (frame) => {
        const value = operand.run(frame);
        const inside = valueIn(value);
        if (inside === undefined) return other.run(frame);
        return whole ? value : inside;
      },
    };
  };
}

function alternativeType(operand: Type, other: Type, whole: boolean): Type | undefined {
  if (operand.kind === 'dyn') return dyn;
  if (operand.kind !== 'optional') return undefined;
  return whole ? join(operand, other) : join(operand.of, other);
}

const bindVariable: Macro = (node, scope, compile) => {
  const value = compile(node.args[1]!, scope);
  const variable = declare(scope, nameOf(node.args[0]!), value.type);
  const body = compile(node.args[2]!, variable.scope);
  return {
    type: body.type,
    run: (frame) => {
      frame.locals[variable.slot] = value.run(frame);
      return body.run(frame);
    },
  };
};

/** sortBy(x, key): the list in the order of the keys. */
const sortBy: Macro = (node, scope, compile) => {
  const keys = transform(1, false)(node, scope, compile);
  const list = compile(node.target!, scope);
  return {
    type: list.type,
    run: (frame) => {
      const made = keys.run(frame);
      const items = list.run(frame);
      if (!isList(made) || !isList(items)) throw noOverload();
      return sortedBy(items, made, frame.budget);
    },
  };
};

function sortedBy(items: readonly Value[], keys: readonly Value[], budget: Budget): Value {
  const order = [...items.keys()].sort((a, b) => compare(budget, keys[a]!, keys[b]!));
  return order.map((index) => items[index]!);
}

const macros: Readonly<Record<string, Macro>> = {
  '.all/2': quantifier(1, false),
  '.all/3': quantifier(2, false),
  '.exists/2': quantifier(1, true),
  '.exists/3': quantifier(2, true),
  '.exists_one/2': existsOne(1),
  '.existsOne/2': existsOne(1),
  '.exists_one/3': existsOne(2),
  '.existsOne/3': existsOne(2),
  '.map/2': transform(1, false),
  '.map/3': transform(1, true),
  '.filter/2': filter,
  '.transformList/3': transform(2, false),
  '.transformList/4': transform(2, true),
  '.transformMap/3': transformMap(false, false),
  '.transformMap/4': transformMap(false, true),
  '.transformMapEntry/3': transformMap(true, false),
  '.transformMapEntry/4': transformMap(true, true),
  '.sortBy/2': sortBy,
  '.optMap/2': optional(false),
  '.optFlatMap/2': optional(true),
  '.or/1': alternative(true),
  '.orValue/1': alternative(false),
};
