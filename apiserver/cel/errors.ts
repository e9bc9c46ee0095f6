/** What can go wrong with a rule, apart from its answer being no. */

/** The text of an expression does not say anything that can be computed. `at` counts characters from 0. */
export class CompileError extends Error {
  readonly at: number;

  constructor(message: string, at: number) {
    super(message);
    this.at = at;
  }
}

/** This object gives the expression nothing to compute with: `no such key: replicas`, `division by zero`. */
export class EvaluationError extends Error {}

/** The expression would take more than it may. Not to be caught by `||` or `exists`: it ends the evaluation. */
export class CostError extends Error {}

export function noOverload(): EvaluationError {
  return new EvaluationError('no such overload');
}

export function overflow(): EvaluationError {
  return new EvaluationError('integer overflow');
}

/** As cel-go prints it: where, the line, and a caret below the place. */
export function describeCompileError(error: CompileError, text: string): string {
  const before = text.slice(0, error.at);
  const lineStart = before.lastIndexOf('\n') + 1;
  const lineNumber = before.split('\n').length;
  const lineEnd = text.indexOf('\n', error.at);
  const line = text.slice(lineStart, lineEnd === -1 ? undefined : lineEnd);
  const column = error.at - lineStart;
  return `compilation failed: ERROR: <input>:${lineNumber}:${column + 1}: ${error.message}\n | ${line}\n | ${'.'.repeat(column)}^`;
}
