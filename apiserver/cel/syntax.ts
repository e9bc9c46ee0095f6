/** The text of a CEL expression as a tree. The only file that knows the library that reads it. */
import { type ASTNode, Environment, ParseError } from '@marcbachmann/cel-js';
import { CompileError } from './errors.ts';
import { Uint } from './values.ts';

export type Literal = null | boolean | bigint | number | string | Uint8Array | Uint;

/** `at` is where in the text messages point. Operators are calls by cel-go's names, such as _+_. */
export type Node = { readonly at: number } & (
  | { readonly kind: 'literal'; readonly value: Literal }
  | { readonly kind: 'name'; readonly name: string }
  | { readonly kind: 'select'; readonly operand: Node; readonly field: string; readonly optional: boolean }
  | { readonly kind: 'call'; readonly name: string; readonly target?: Node; readonly args: readonly Node[] }
  | { readonly kind: 'list'; readonly items: readonly Node[] }
  | { readonly kind: 'map'; readonly entries: readonly (readonly [Node, Node])[] }
);

const reader = new Environment({
  enableOptionalTypes: true,
  unlistedVariablesAreDyn: true,
  limits: { maxAstNodes: 10_000, maxDepth: 100 },
});

/** A chain of operators nests without the reader's limit noticing. */
const maxDepth = 400;

/** CompileError for text that is no expression, or too large a one. */
export function readExpression(text: string): Node {
  try {
    return convert(reader.parse(text).ast, text, 0);
  } catch (error) {
    if (error instanceof ParseError)
      throw new CompileError(`Syntax error: ${error.summary}`, Math.min(error.range?.start ?? 0, text.length));
    throw error;
  }
}

function convert(ast: ASTNode, text: string, depth: number): Node {
  if (depth > maxDepth) throw new CompileError(`expression nests deeper than ${maxDepth}`, ast.start);
  const down = (child: ASTNode) => convert(child, text, depth + 1);
  const call = (name: string, at: number, ...args: readonly ASTNode[]): Node => ({
    kind: 'call',
    name,
    at,
    args: args.map(down),
  });
  switch (ast.op) {
    case 'value':
      return { kind: 'literal', at: ast.start, value: literal(ast.args) };
    case 'id':
      return { kind: 'name', at: ast.start, name: ast.args };
    case '.':
    case '.?':
      return {
        kind: 'select',
        at: Math.max(0, text.lastIndexOf('.', ast.pos)),
        operand: down(ast.args[0]),
        field: ast.args[1],
        optional: ast.op === '.?',
      };
    case '[]':
      return call('_[_]', after(text, ast.args[0], '['), ...ast.args);
    case '[?]':
      return call('_[?_]', after(text, ast.args[0], '['), ...ast.args);
    case 'call':
      return call(ast.args[0], after(text, { end: ast.start }, '('), ...ast.args[1]);
    case 'rcall': {
      const [name, target, args] = ast.args;
      const dot = after(text, target, '.');
      const at = after(text, { end: dot + name.length }, '(');
      return { kind: 'call', name, at, target: down(target), args: args.map(down) };
    }
    case 'list':
      return { kind: 'list', at: ast.start, items: ast.args.map(down) };
    case 'map':
      return { kind: 'map', at: ast.start, entries: ast.args.map(([key, value]) => [down(key), down(value)]) };
    case '?:':
      return call('_?_:_', after(text, ast.args[0], '?'), ...ast.args);
    case '!_':
      return call('!_', ast.start, ast.args);
    case '-_':
      return negated(ast.args) ?? call('-_', ast.start, ast.args);
    case 'in':
      return call('@in', after(text, ast.args[0], 'in'), ...ast.args);
    default:
      return call(`_${ast.op}_`, after(text, ast.args[0], ast.op), ...ast.args);
  }
}

/** -1 is a number, not an operation: only so can the smallest one be written. */
function negated(ast: ASTNode): Node | undefined {
  if (ast.op !== 'value') return undefined;
  const value = literal(ast.args);
  if (typeof value !== 'bigint' && typeof value !== 'number') return undefined;
  return { kind: 'literal', at: ast.start, value: -value };
}

function after(text: string, node: { readonly end: number }, sign: string): number {
  const found = text.indexOf(sign, node.end);
  return found === -1 ? node.end : found;
}

function literal(value: unknown): Literal {
  if (value === null || typeof value !== 'object') return value as Literal;
  return value instanceof Uint8Array ? value : new Uint((value as { valueOf(): bigint }).valueOf());
}
