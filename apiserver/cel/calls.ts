/** Calls of functions, methods and operators: which overload fits the arguments, before evaluation where that can be known. */

import { messageOf } from '#lib/std/errors.ts';
import { patternOf } from '#lib/std/pattern.ts';
import { Budget } from './budget.ts';
import { CompileError, EvaluationError, noOverload } from './errors.ts';
import type { Expression } from './expression.ts';
import type { Overload } from './functions/overload.ts';
import type { Node } from './syntax.ts';
import { accepts, type Bindings, dyn, resolve, showType, type Type } from './types.ts';
import {
  Duration,
  isList,
  isMap,
  ObjectValue,
  Opaque,
  Optional,
  Timestamp,
  TypeValue,
  Uint,
  type Value,
} from './values.ts';

export interface Call {
  readonly name: string;
  readonly at: number;
  readonly method: boolean;
  /** The target first, if it is a method. */
  readonly args: readonly Expression[];
}

/** CompileError if none of the overloads takes arguments of these types. */
export function compileCall(call: Call, overloads: readonly Overload[]): Expression {
  const { args } = call;
  const fitting = overloads.flatMap((overload) => {
    const result = resultFor(overload, args);
    return result ? [{ overload, result }] : [];
  });
  const [first] = fitting;
  if (!first) throw new CompileError(describe(call), call.at);
  const type = fitting.every(({ result }) => sameType(result, first.result)) ? first.result : dyn;
  const open = args.some((arg) => arg.type.kind === 'dyn' || arg.type.kind === 'null');
  // Values of a nullable schema have the schema's type, and may be null all the same.
  const pick = (values: readonly Value[]) =>
    open || values.includes(null) ? dispatch(fitting, values) : first.overload;
  return { type, run: runner(args, pick) };
}

function runner(args: readonly Expression[], pick: (values: readonly Value[]) => Overload): Expression['run'] {
  return (frame) => {
    frame.budget.charge(1);
    const values = args.map((arg) => arg.run(frame));
    return pick(values).run(frame.budget, ...values);
  };
}

function resultFor({ params, result }: Overload, args: readonly Expression[]): Type | undefined {
  if (params.length !== args.length) return undefined;
  const bindings: Bindings = new Map();
  return params.every((param, index) => accepts(param, args[index]!.type, bindings))
    ? resolve(result, bindings)
    : undefined;
}

function sameType(one: Type, other: Type): boolean {
  return one === other || (one.kind !== 'object' && showType(one) === showType(other));
}

function describe({ name, method, args }: Call): string {
  const [target, ...rest] = args.map(({ type }) => showType(type));
  const applied = method ? `${target}.(${rest.join(', ')})` : `(${args.map(({ type }) => showType(type)).join(', ')})`;
  return `found no matching overload for '${name}' applied to '${applied}'`;
}

/** For arguments whose types show only now, such as those of int-or-string. */
function dispatch(fitting: readonly { readonly overload: Overload }[], values: readonly Value[]): Overload {
  const found = fitting.find(({ overload }) => overload.params.every((param, index) => fits(param, values[index]!)));
  if (!found) throw noOverload();
  return found.overload;
}

function fits(type: Type, value: Value): boolean {
  switch (type.kind) {
    case 'param':
    case 'dyn':
      return true;
    case 'null':
      return value === null;
    case 'bool':
      return typeof value === 'boolean';
    case 'int':
      return typeof value === 'bigint';
    case 'double':
      return typeof value === 'number';
    case 'string':
      return typeof value === 'string';
    default:
      return typeof value === 'object' && value !== null && fitsClass(type, value);
  }
}

function fitsClass(type: Type, value: Value): boolean {
  switch (type.kind) {
    case 'list':
      return isList(value);
    case 'map':
      return isMap(value);
    case 'object':
      return value instanceof ObjectValue;
    case 'bytes':
      return value instanceof Uint8Array;
    case 'uint':
      return value instanceof Uint;
    case 'timestamp':
      return value instanceof Timestamp;
    case 'duration':
      return value instanceof Duration;
    case 'type':
      return value instanceof TypeValue;
    case 'optional':
      return value instanceof Optional;
    default:
      return value instanceof Opaque && type.kind === 'opaque' && value.type === type.name;
  }
}

const patterns: Readonly<Record<string, number>> = { matches: 1, find: 1, findAll: 1 };

/** What a rule spells out must be right when the rule is written, not when it is first evaluated. */
export function checkLiterals(node: Node & { kind: 'call' }, all: readonly Node[], compiled: Expression): void {
  const place = Object.hasOwn(patterns, node.name) ? all[patterns[node.name]!] : undefined;
  if (place?.kind === 'literal' && typeof place.value === 'string')
    try {
      patternOf(place.value);
    } catch (error) {
      throw new CompileError(`invalid ${node.name} argument: ${messageOf(error)}`, place.at);
    }
  if ((node.name === 'duration' || node.name === 'timestamp') && all[0]?.kind === 'literal')
    try {
      compiled.run({ budget: new Budget(1_000), locals: [] });
    } catch (error) {
      if (!(error instanceof EvaluationError)) throw error;
      throw new CompileError(`invalid ${node.name} argument: ${error.message}`, all[0].at);
    }
}
