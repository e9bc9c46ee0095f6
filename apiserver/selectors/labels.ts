/** Label selectors as text, in the grammar of Kubernetes (apimachinery, pkg/labels/selector.go). */
import { badRequest } from '#apiserver/http/status.ts';
import { matchesRequirement, type Requirement } from '#lib/api/selectors.ts';

export type LabelMatcher = (labels: Readonly<Record<string, string>> | undefined) => boolean;

interface Token {
  readonly type: 'word' | 'symbol' | 'end';
  readonly text: string;
}

const everything: LabelMatcher = () => true;

/** BadRequest for text that is no selector. Empty text matches all. */
export function parseLabelSelector(text: string | null): LabelMatcher {
  if (text === null || text.trim() === '') return everything;
  const requirements = parseLabelRequirements(text);
  return (labels = {}) => requirements.every((requirement) => matchesRequirement(requirement, labels));
}

export function parseLabelRequirements(text: string): Requirement[] {
  return parse(tokens(text));
}

/** Every object of a list is held against all of them. */
const maxTokens = 4_000;

function tokens(text: string): Token[] {
  const list: Token[] = [];
  for (const [token] of text.matchAll(/==|!=|[=!(),<>]|[^\s=!(),<>]+/g)) {
    if (list.length === maxTokens) throw badRequest(`a label selector may have ${maxTokens} words and symbols`);
    list.push({ type: /^[=!(),<>]/.test(token) ? 'symbol' : 'word', text: token });
  }
  return [...list, { type: 'end', text: '' }];
}

function parse(list: Token[]): Requirement[] {
  const requirements: Requirement[] = [];
  for (;;) {
    requirements.push(requirement(list));
    const token = list.shift()!;
    if (token.type === 'end') return requirements;
    if (token.text !== ',') throw badRequest(`found '${token.text}', expected: ',' or 'end of string'`);
  }
}

function requirement(list: Token[]): Requirement {
  const negated = take(list, '!');
  const key = word(list, 'identifier');
  checkKey(key);
  if (negated) return { key, operator: 'DoesNotExist' };
  const next = list[0]!;
  if (next.type === 'end' || next.text === ',') return { key, operator: 'Exists' };
  const operator = list.shift()!.text;
  switch (operator) {
    case '=':
    case '==':
      return { key, operator: 'In', values: [value(list)] };
    case '!=':
      return { key, operator: 'NotIn', values: [value(list)] };
    case 'in':
      return { key, operator: 'In', values: values(list) };
    case 'notin':
      return { key, operator: 'NotIn', values: values(list) };
    default:
      throw badRequest(`found '${operator}', expected: in, notin, =, ==, !=`);
  }
}

function take(list: Token[], text: string): boolean {
  if (list[0]?.type !== 'symbol' || list[0].text !== text) return false;
  list.shift();
  return true;
}

function word(list: Token[], expected: string): string {
  const token = list.shift()!;
  if (token.type !== 'word') throw badRequest(`found '${token.text}', expected: ${expected}`);
  return token.text;
}

/** A value may be empty: `key=` asks for the empty label. */
function value(list: Token[]): string {
  return list[0]!.type === 'word' ? word(list, 'value') : '';
}

function values(list: Token[]): string[] {
  if (!take(list, '(')) throw badRequest(`found '${list[0]!.text}', expected: '('`);
  const result = [value(list)];
  while (take(list, ',')) result.push(value(list));
  if (!take(list, ')')) throw badRequest(`found '${list[0]!.text}', expected: ',' or ')'`);
  return result;
}

function checkKey(key: string): void {
  if (!/^([a-z0-9.-]+\/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$/.test(key))
    throw badRequest(`unable to parse requirement: "${key}" is not a valid label key`);
}
