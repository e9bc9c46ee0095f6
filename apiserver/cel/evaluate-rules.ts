/** Asks the rules at one place of an object, one after the other: apiextensions' schema/cel/validation.go. */
import type { Json } from '#apiserver/json/json.ts';
import { duplicate, forbidden, invalid, omitted, required } from '#apiserver/schema/causes.ts';
import type { Schema } from '#apiserver/schema/schema.ts';
import type { Cause } from '#lib/std/errors.ts';
import { Budget, ruleLimit } from './budget.ts';
import type { Program } from './compile.ts';
import { CostError, EvaluationError } from './errors.ts';
import { readValue } from './read-value.ts';
import { type CompiledRule, ruleMessage, ruleText } from './rule.ts';
import { Optional, type Value } from './values.ts';

/** Where rules are asked. */
export interface Place {
  readonly path: string;
  readonly value: Json;
  /** What was there before; undefined if nothing was, or if it cannot be told. */
  readonly old: Json | undefined;
  /** Nothing of it changed: rules that do not compare with the old value are not held against it. */
  readonly unchanged: () => boolean;
}

/** The rules of an object may cost together what is left here; nothing is left once one of them cost too much. */
export interface Purse {
  left: number;
}

export function askRules(rules: readonly CompiledRule[], schema: Schema, place: Place, purse: Purse): Cause[] {
  const causes: Cause[] = [];
  const refuse = (why: string) => causes.push(invalid(place.path, schema.type ?? '', why));
  const values = valuesAt(place, schema);
  if (values instanceof EvaluationError) {
    refuse(values.message);
    return causes;
  }
  for (const rule of rules) {
    if (purse.left <= 0) {
      purse.left = -1;
      refuse('validation failed due to running out of cost budget, no further validation rules will be run');
      return causes;
    }
    causes.push(...askRule(rule, values, schema, place, purse));
    if (purse.left < 0) return causes;
  }
  return causes;
}

interface Values {
  readonly self: Value;
  readonly oldSelf: Value | undefined;
}

function valuesAt({ value, old }: Place, schema: Schema): Values | EvaluationError {
  try {
    const oldSelf = old === undefined || old === null ? undefined : readValue(old, schema);
    return { self: readValue(value, schema), oldSelf };
  } catch (error) {
    if (error instanceof EvaluationError) return error;
    throw error;
  }
}

function askRule(rule: CompiledRule, { self, oldSelf }: Values, schema: Schema, place: Place, purse: Purse): Cause[] {
  const type = schema.type ?? '';
  if (!rule.program) return [invalid(place.path, type, `rule compile error: ${rule.problem}`)];
  const optional = rule.rule.optionalOldSelf === true;
  if (rule.transition && oldSelf === undefined && !optional) return [];
  const before = optional ? (oldSelf === undefined ? Optional.none : new Optional(oldSelf)) : oldSelf;
  const outcome = run(rule.program, [self, before], purse);
  if ('spent' in outcome) return [invalid(place.path, type, tooExpensive(outcome.spent, rule))];
  if ('failure' in outcome) return [invalid(place.path, type, explainFailure(outcome.failure, rule))];
  if (outcome.value === true || (!rule.transition && place.unchanged())) return [];
  const message = messageOf(rule, [self, oldSelf], purse);
  const shown = schema.type === 'object' || schema.type === 'array' ? undefined : place.value;
  return [causeFor(rule, `${place.path}${rule.blames}`.replace(/^\./, ''), shown, message)];
}

type Outcome = { value: Value } | { failure: EvaluationError } | { spent: 'rule' | 'object' };

/** Takes what the evaluation cost out of the purse. */
function run(program: Program, values: readonly (Value | undefined)[], purse: Purse): Outcome {
  const limit = Math.min(ruleLimit, purse.left);
  const budget = new Budget(limit);
  try {
    const value = program.evaluate(values, budget);
    purse.left -= budget.spent;
    return { value };
  } catch (error) {
    if (error instanceof CostError) {
      purse.left = -1;
      return { spent: limit < ruleLimit ? 'object' : 'rule' };
    }
    if (!(error instanceof EvaluationError)) throw error;
    purse.left -= budget.spent;
    return { failure: error };
  }
}

function tooExpensive(spent: 'rule' | 'object', { rule }: CompiledRule): string {
  if (spent === 'object')
    return 'validation failed due to running out of cost budget, no further validation rules will be run';
  return `'operation cancelled: actual cost limit exceeded': no further validation rules will be run due to call cost exceeds limit for rule: ${ruleText(rule)}`;
}

function explainFailure({ message }: EvaluationError, { rule }: CompiledRule): string {
  if (message.startsWith('no such overload'))
    return `'${message}': call arguments did not match a supported operator, function or macro signature for rule: ${ruleText(rule)}`;
  return `${message} evaluating rule: ${ruleText(rule)}`;
}

/** Kubernetes' limit for what a messageExpression may say, in bytes. */
const maxMessageBytes = 5 * 1024;

/** What the messageExpression makes, if that is one line of text that is not too long. */
function messageOf({ rule, message }: CompiledRule, values: readonly (Value | undefined)[], purse: Purse): string {
  if (!message) return ruleMessage(rule);
  const outcome = run(message, values, purse);
  if ('spent' in outcome)
    return outcome.spent === 'object'
      ? 'messageExpression evaluation failed due to running out of cost budget, no further validation rules will be run'
      : `no further validation rules will be run due to call cost exceeds limit for messageExpression: ${JSON.stringify(rule.messageExpression)}`;
  const text = 'value' in outcome && typeof outcome.value === 'string' ? outcome.value.trim() : '';
  const usable = text !== '' && !text.includes('\n') && Buffer.byteLength(text) <= maxMessageBytes;
  return usable ? text : ruleMessage(rule);
}

function causeFor({ rule }: CompiledRule, field: string, value: Json | undefined, message: string): Cause {
  switch (rule.reason) {
    case 'FieldValueForbidden':
      return forbidden(field, message);
    case 'FieldValueRequired':
      return required(field, message);
    case 'FieldValueDuplicate':
      return value === undefined ? omitted('FieldValueDuplicate', field) : duplicate(field, value);
    default:
      return value === undefined ? omitted('FieldValueInvalid', field, message) : invalid(field, value, message);
  }
}
