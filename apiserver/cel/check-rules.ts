/** Whether the rules of a schema can be evaluated at all: asked when a CustomResourceDefinition is written. */
import type { Json } from '#apiserver/json/json.ts';
import { invalid, notSupported, required } from '#apiserver/schema/causes.ts';
import { additionalOf, type Rule, type Schema } from '#apiserver/schema/schema.ts';
import type { Cause } from '#lib/std/errors.ts';
import { showFieldPath } from './field-path.ts';
import { compileRule } from './rule.ts';
import { asResource } from './schema-types.ts';

/**
 * What is wrong with the x-kubernetes-validations in a schema; `path` is where the schema stands, for example
 * `spec.versions[0].schema.openAPIV3Schema`. Causes, fields and words are apiextensions' (pkg/apis/apiextensions/validation).
 */
export function checkRules(schema: Schema, path: string): Cause[] {
  return visit(schema, asResource(schema), path, undefined);
}

/** `loose`: where inside of a list whose items cannot be told apart this is, so that there is no oldSelf. */
function visit(schema: Schema, seen: Schema, path: string, loose: string | undefined): Cause[] {
  const additional = additionalOf(schema);
  const inItems = schema['x-kubernetes-list-type'] === 'map' ? loose : (loose ?? `${path}.items`);
  return [
    ...Object.entries(schema.properties ?? {}).flatMap(([name, child]) =>
      visit(child, seen.properties?.[name] ?? child, `${path}.properties[${name}]`, loose),
    ),
    ...(additional ? visit(additional, additionalOf(seen) ?? additional, `${path}.additionalProperties`, loose) : []),
    ...(schema.items ? visit(schema.items, seen.items ?? schema.items, `${path}.items`, inItems) : []),
    ...(schema.allOf ?? []).flatMap((part, index) => visit(part, seen, `${path}.allOf[${index}]`, loose)),
    ...(schema['x-kubernetes-validations'] ?? []).flatMap((rule, index) => {
      const at = `${path}.x-kubernetes-validations[${index}]`;
      const form = isRule(rule)
        ? checkForm(rule, schema, at)
        : [invalid(at, rule as unknown as Json, 'must be an object of texts')];
      return form.length > 0 ? form : checkExpressions(rule, seen, at, loose);
    }),
  ];
}

/** The words of a rule that are texts; a definition is a client's JSON, whatever its type says. */
const texts = ['rule', 'message', 'messageExpression', 'reason', 'fieldPath'] as const;

function isRule(rule: Rule): boolean {
  if (typeof rule !== 'object' || rule === null) return false;
  const { optionalOldSelf } = rule;
  return (
    texts.every((word) => rule[word] === undefined || typeof rule[word] === 'string') &&
    (optionalOldSelf === undefined || typeof optionalOldSelf === 'boolean')
  );
}

const reasons = ['FieldValueDuplicate', 'FieldValueForbidden', 'FieldValueInvalid', 'FieldValueRequired'];
const lineBreak = /[\n\r]/;

function checkForm(rule: Rule, schema: Schema, at: string): Cause[] {
  const { message = '', messageExpression = '', reason, fieldPath = '' } = rule;
  const causes = checkTexts(rule.rule ?? '', message, at);
  if (messageExpression !== '' && messageExpression.trim() === '')
    causes.push(required(`${at}.messageExpression`, 'messageExpression must be non-empty if specified'));
  if (reason !== undefined && !reasons.includes(reason)) causes.push(notSupported(`${at}.reason`, reason, reasons));
  if (lineBreak.test(fieldPath))
    causes.push(invalid(`${at}.fieldPath`, fieldPath, 'fieldPath must not contain line breaks'));
  if (fieldPath !== '' && showFieldPath(fieldPath, schema) === undefined)
    causes.push(invalid(`${at}.fieldPath`, fieldPath, 'fieldPath must be a valid path'));
  return causes;
}

function checkTexts(rule: string, message: string, at: string): Cause[] {
  if (rule.trim() === '') return [required(`${at}.rule`, 'rule is not specified')];
  if (message !== '' && message.trim() === '')
    return [invalid(`${at}.message`, message, 'message must be non-empty if specified')];
  if (lineBreak.test(message.trim()))
    return [invalid(`${at}.message`, message, 'message must not contain line breaks')];
  if (lineBreak.test(rule.trim()) && message === '')
    return [required(`${at}.message`, 'message must be specified if rule contains line breaks')];
  return [];
}

function checkExpressions(rule: Rule, seen: Schema, at: string, loose: string | undefined): Cause[] {
  const { problem, messageProblem, transition } = compileRule(rule, seen);
  const causes: Cause[] = [];
  if (problem !== undefined) causes.push(invalid(`${at}.rule`, { ...rule } as Json, problem));
  if (messageProblem !== undefined)
    causes.push(invalid(`${at}.messageExpression`, { ...rule } as Json, messageProblem));
  if (transition && loose !== undefined)
    causes.push(
      invalid(
        `${at}.rule`,
        rule.rule,
        `oldSelf cannot be used on the uncorrelatable portion of the schema within ${loose}`,
      ),
    );
  if (problem === undefined && !transition && rule.optionalOldSelf !== undefined)
    causes.push(
      invalid(`${at}.optionalOldSelf`, rule.optionalOldSelf, 'may not be set if oldSelf is not used in rule'),
    );
  return causes;
}
