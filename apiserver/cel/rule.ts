/** One rule of a schema, compiled: what it asks, what it says when the answer is no, and of which field. */
import type { Rule, Schema } from '#apiserver/schema/schema.ts';
import { compileProgram, type Program, type Variable } from './compile.ts';
import { CompileError, describeCompileError } from './errors.ts';
import { showFieldPath } from './field-path.ts';
import { typeOfSchema } from './schema-types.ts';
import { bool, optionalOf } from './types.ts';

export interface CompiledRule {
  readonly rule: Rule;
  /** Undefined for a rule that does not compile: `problem` says why. */
  readonly program?: Program;
  readonly problem?: string;
  readonly message?: Program;
  readonly messageProblem?: string;
  /** It compares with what was before: asked about updates only, and never let pass because nothing changed. */
  readonly transition: boolean;
  /** What is put behind the path of the value that the rule stands at. */
  readonly blames: string;
}

/** `schema` gives the type of self. */
export function compileRule(rule: Rule, schema: Schema): CompiledRule {
  const self = typeOfSchema(schema);
  if (!self) return { rule, problem: 'the schema gives no type that rules could see', transition: false, blames: '' };
  const variables: readonly Variable[] = [
    { name: 'self', type: self },
    { name: 'oldSelf', type: rule.optionalOldSelf === true ? optionalOf(self) : self },
  ];
  const program = compileAs(rule.rule, variables, bool.kind, 'cel expression must evaluate to a bool');
  const message = rule.messageExpression
    ? compileAs(rule.messageExpression, variables, 'string', 'messageExpression must evaluate to a string')
    : {};
  return {
    rule,
    ...program,
    ...(message.program ? { message: message.program } : {}),
    ...(message.problem === undefined ? {} : { messageProblem: message.problem }),
    transition: program.program?.uses.has('oldSelf') ?? false,
    blames: rule.fieldPath === undefined ? '' : (showFieldPath(rule.fieldPath, schema) ?? ''),
  };
}

function compileAs(
  text: string,
  variables: readonly Variable[],
  kind: string,
  otherwise: string,
): Pick<CompiledRule, 'program' | 'problem'> {
  try {
    const program = compileProgram(text, variables);
    return program.type.kind === kind || program.type.kind === 'dyn' ? { program } : { problem: otherwise };
  } catch (error) {
    if (error instanceof CompileError) return { problem: describeCompileError(error, text) };
    throw error;
  }
}

/** How messages name a rule: by its message, or else by itself. */
export function ruleText({ message, rule }: Rule): string {
  return (message || rule).trim();
}

export function ruleMessage(rule: Rule): string {
  return rule.message ? rule.message.trim() : `failed rule: ${ruleText(rule)}`;
}
