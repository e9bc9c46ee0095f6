/** Expressions as authors of CustomResourceDefinitions write them, and what they come to. */
import { describe, expect, test } from 'vitest';
import type { Json } from '#apiserver/json/json.ts';
import type { Schema } from '#apiserver/schema/schema.ts';
import { Budget } from './budget.ts';
import { compileProgram } from './compile.ts';
import { CompileError, CostError, describeCompileError, EvaluationError } from './errors.ts';
import { readValue } from './read-value.ts';
import { typeOfSchema } from './schema-types.ts';

const text: Schema = { type: 'string' };
const schema: Schema = {
  type: 'object',
  properties: {
    replicas: { type: 'integer' },
    minReplicas: { type: 'integer' },
    ratio: { type: 'number' },
    paused: { type: 'boolean' },
    name: text,
    image: text,
    port: { 'x-kubernetes-int-or-string': true },
    memory: { 'x-kubernetes-int-or-string': true },
    schedule: { type: 'string', format: 'date-time' },
    day: { type: 'string', format: 'date' },
    timeout: { type: 'string', format: 'duration' },
    token: { type: 'string', format: 'byte' },
    nothing: { type: 'string', nullable: true },
    absent: text,
    tags: { type: 'array', items: text, 'x-kubernetes-list-type': 'set' },
    hosts: { type: 'array', items: text },
    gaps: { type: 'array', items: { ...text, nullable: true } },
    sizes: { type: 'array', items: { type: 'integer' } },
    ports: {
      type: 'array',
      'x-kubernetes-list-type': 'map',
      'x-kubernetes-list-map-keys': ['name'],
      items: { type: 'object', properties: { name: text, port: { type: 'integer' } } },
    },
    labels: { type: 'object', additionalProperties: text },
    weights: { type: 'object', additionalProperties: { type: 'integer' } },
    'x-dash': text,
    'a.b/c': text,
    namespace: text,
    two__parts: text,
    '9lives': text,
    nested: { type: 'object', properties: { deep: { type: 'object', properties: { value: { type: 'integer' } } } } },
    open: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true },
    resource: {
      type: 'object',
      'x-kubernetes-embedded-resource': true,
      properties: { spec: { type: 'object', properties: { a: { type: 'integer' } } } },
    },
  },
};
const object: Json = {
  replicas: 3,
  minReplicas: 1,
  ratio: 0.5,
  paused: false,
  name: 'web-1',
  image: 'registry.example.com/team/app:v1.2',
  port: 'http',
  memory: 512,
  schedule: '2026-02-28T23:30:00.250Z',
  day: '2026-02-28',
  timeout: '1h30m',
  token: 'aGVsbG8=',
  nothing: null,
  tags: ['b', 'a'],
  hosts: ['a.example.com', 'b.example.com'],
  gaps: [null],
  sizes: [1, 2, 3],
  ports: [
    { name: 'http', port: 80 },
    { name: 'https', port: 443 },
  ],
  labels: { app: 'web', tier: 'front' },
  weights: { a: 60, b: 40 },
  'x-dash': 'd',
  'a.b/c': 'abc',
  namespace: 'ns',
  two__parts: 'tp',
  nested: { deep: { value: 7 } },
  open: { anything: 1 },
  resource: { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'p', labels: {} }, spec: { a: 1 } },
};

const variables = [{ name: 'self', type: typeOfSchema(schema)! }];
const evaluate = (expression: string, budget = new Budget(1_000_000)) =>
  compileProgram(expression, variables).evaluate([readValue(object, schema)], budget);

const holds: readonly string[] = [
  // Comparison, arithmetic and logic
  'self.replicas >= self.minReplicas && self.replicas <= 10',
  'self.replicas * 2 - 1 == 5 && self.replicas / 2 == 1 && self.replicas % 2 == 1 && -self.replicas == -3',
  '!self.paused || self.replicas == 0',
  'self.ratio < 1 && self.ratio * 2.0 == 1.0 && double(self.replicas) / 2.0 == 1.5',
  'self.replicas > 2 ? self.name.startsWith("web") : true',
  "'b' > 'a' && 'é' > 'z' && b'ab' < b'b' && false < true",
  'int(self.ratio) == 0 && uint(3) == 3u && 3u + 2u > 4u && string(self.replicas) == "3"',
  '1 / 0 == 1 || true',
  'true || 1 / 0 == 1',
  '!(false && self.sizes[9] == 1)',
  '-9223372036854775808 < 0 && 0x10 == 16 && 1e3 == 1000.0',
  // Presence and optionals
  'has(self.name) && !has(self.absent)',
  'has(self.nested.deep.value) && self.nested.deep.value == 7',
  "self.?absent.orValue('none') == 'none' && self.?name.hasValue()",
  "self.labels[?'app'].orValue('') == 'web' && !self.labels[?'zone'].hasValue()",
  'self.?nested.?deep.?value.optMap(v, v + 1).orValue(0) == 8',
  'optional.none().or(optional.of(2)).value() == 2 && !optional.ofNonZeroValue(0).hasValue()',
  'self.sizes[?7].orValue(0) == 0 && self.sizes[?1].optFlatMap(x, optional.of(x)).value() == 2',
  "!has(self.nothing) && self.?nothing.orValue('none') == 'none'",
  // Lists and maps
  'self.hosts.all(h, h.endsWith(".example.com")) && !self.hosts.exists(h, h == "c")',
  'self.ports.exists_one(p, p.port == 80) && self.ports.filter(p, p.port > 100).size() == 1',
  "self.ports.map(p, p.name) == ['http', 'https'] && self.sizes.map(x, x > 1, x * x) == [4, 9]",
  "'a' in self.tags && !('z' in self.tags) && 'app' in self.labels && self.labels.app == 'web'",
  "self.labels['tier'] == 'front' && size(self.labels) == 2 && self.weights.all(k, self.weights[k] > 0)",
  "self.tags == ['a', 'b'] && self.hosts != ['b.example.com', 'a.example.com']",
  "self.tags + ['b', 'c'] == ['a', 'b', 'c'] && (self.hosts + ['x']).size() == 3",
  'self.ports == [self.ports[1], self.ports[0]]',
  'self.sizes.sum() == 6 && self.sizes.min() == 1 && self.sizes.max() == 3 && self.sizes.isSorted()',
  "self.sizes.indexOf(2) == 1 && self.hosts.lastIndexOf('nope') == -1 && [].sum() == 0",
  "sets.contains(self.tags, ['a']) && sets.equivalent([1, 1, 2], [2, 1]) && !sets.intersects([1], [2])",
  'self.sizes.reverse() == [3, 2, 1] && self.sizes.slice(1, 3) == [2, 3] && [1, 1, 2].distinct() == [1, 2]',
  '[[1], [2, 3]].flatten() == [1, 2, 3] && lists.range(3) == [0, 1, 2] && [3, 1].sort() == [1, 3]',
  "self.ports.sortBy(p, -p.port)[0].name == 'https'",
  "{'a': 1, 'b': 2}.exists(k, k == 'b') && {1: 'x'}[1] == 'x' && [1, 2.0, 'three'].size() == 3",
  // Two-variable comprehensions
  'self.sizes.all(i, v, v == i + 1) && self.weights.exists(k, v, k == "a" && v == 60)',
  "self.weights.transformMap(k, v, v * 2)['b'] == 80 && self.sizes.transformList(i, v, v > 1, i) == [1, 2]",
  "self.labels.transformMapEntry(k, v, {v: k})['web'] == 'app' && self.sizes.existsOne(i, v, v == 2)",
  'cel.bind(total, self.weights.a + self.weights.b, total == 100 && total > 0)',
  // Strings and regular expressions
  "self.image.matches('^[a-z0-9.]+/[a-z/]+:v[0-9.]+$') && self.image.find('v[0-9]') == 'v1'",
  "'a1b22'.findAll('[0-9]+') == ['1', '22'] && 'a1b22'.findAll('[0-9]', 2).size() == 2 && matches('ab', 'b')",
  "self.name.split('-') == ['web', '1'] && self.name.split('-', 1) == ['web-1'] && 'abc'.split('').size() == 3",
  "self.name.replace('-', '_') == 'web_1' && 'aaa'.replace('a', 'b', 2) == 'bba' && ' x '.trim() == 'x'",
  "self.name.substring(0, 3) == 'web' && self.name.charAt(4) == '1' && self.name.indexOf('-') == 3",
  "'héllo'.size() == 5 && '😀x'.indexOf('x') == 1 && '😀x'.substring(1) == 'x' && 'ab'.reverse() == 'ba'",
  "'Ab'.lowerAscii() == 'ab' && 'Ab'.upperAscii() == 'AB' && ['a', 'b'].join(',') == 'a,b' && 'abab'.lastIndexOf('ab') == 2",
  "'%s has %d of %.2f, %x and %s'.format([self.name, 3, 0.5, 255, [1, 2]]) == 'web-1 has 3 of 0.50, ff and [1, 2]'",
  `strings.quote('a"b') == '"a\\\\"b"' && r'\\d' == '\\\\d' && size(b'abc') == 3`,
  // Int-or-string, escaped names, bytes
  "type(self.port) == string && self.port == 'http' && self.memory <= 1024",
  "self.x__dash__dash == 'd' && self.a__dot__b__slash__c == 'abc' && self.__namespace__ == 'ns'",
  "self.two__underscores__parts == 'tp' && self.token == b'hello' && string(self.token) == 'hello'",
  "self.resource.kind == 'Pod' && self.resource.metadata.name == 'p' && self.resource.spec.a == 1",
  // Times
  'self.schedule.getFullYear() == 2026 && self.schedule.getMonth() == 1 && self.schedule.getDayOfYear() == 58',
  "self.schedule.getHours('+02:00') == 1 && self.schedule.getDate('Europe/Berlin') == 1 && self.schedule.getMilliseconds() == 250",
  "self.timeout > duration('1h') && self.timeout.getMinutes() == 90 && self.day < timestamp('2026-03-01T00:00:00Z')",
  "self.schedule + duration('30m') - self.schedule == duration('1800s') && string(duration('90s')) == '90s'",
  "int(timestamp('1970-01-01T00:01:00Z')) == 60 && string(timestamp(0)) == '1970-01-01T00:00:00Z'",
  // Kubernetes' libraries
  "quantity('1.5Gi').isGreaterThan(quantity('1500Mi')) && quantity('200m').compareTo(quantity('0.2')) == 0",
  "quantity('1k').asInteger() == 1000 && !quantity('1.5').isInteger() && quantity('-1').sign() == -1",
  "quantity('1Gi').add(quantity('1Gi')).sub(1024) == quantity('2147482624') && isQuantity('5e3') && !isQuantity('5 Gi')",
  "url('https://user@example.com:8443/a/b?x=1&x=2').getHost() == 'example.com:8443' && isURL('/only/path')",
  "url('https://[::1]:80/p').getHostname() == '::1' && url('https://h/p?x=1&x=2').getQuery()['x'] == ['1', '2']",
  "url('http://h:1/p').getPort() == '1' && url('http://h/p').getEscapedPath() == '/p' && !isURL('no url')",
  "ip('192.168.0.1').family() == 4 && ip('::1').isLoopback() && isIP('10.0.0.1') && !isIP('10.0.0.256')",
  "ip.isCanonical('::1') && !ip.isCanonical('0:0:0:0:0:0:0:1') && ip('8.8.8.8').isGlobalUnicast()",
  "cidr('10.0.0.0/8').containsIP('10.20.30.40') && cidr('10.0.0.0/8').containsCIDR(cidr('10.1.0.0/16'))",
  "cidr('10.1.2.3/16').masked() == cidr('10.1.0.0/16') && cidr('fd00::/8').prefixLength() == 8 && !isCIDR('10.0.0.0')",
  "string(cidr('10.1.2.0/24').ip()) == '10.1.2.0' && string(ip('2001:db8:0:0:0:0:0:1')) == '2001:db8::1'",
  "!format.dns1123Label().validate('web-1').hasValue() && format.dns1123Label().validate('Web').hasValue()",
  "format.named('uuid').hasValue() && !format.named('nope').hasValue() && format.labelValue().validate('a b').value().size() == 1",
];

test.each(holds)('%s', (expression) => {
  expect(evaluate(expression)).toBe(true);
});

describe('what cannot be computed for this object', () => {
  test.each([
    ['self.absent == "x"', 'no such key: absent'],
    ["self.labels['zone'] == ''", 'no such key: zone'],
    ['self.sizes[3] == 1', 'index out of bounds: 3'],
    ['self.replicas / 0 == 1', 'division by zero'],
    ['self.replicas % 0 == 1', 'modulus by zero'],
    ['9223372036854775807 + self.replicas > 0', 'integer overflow'],
    ['self.port < 100', 'no such overload'],
    ['self.gaps.min().size() == 0', 'no such overload'],
    ['self.hosts.all(h, self.sizes[9] == 1)', 'index out of bounds: 9'],
    ['optional.none().value() == 1', 'optional.none() dereference'],
    ["quantity('x').sign() == 0", 'quantities must match'],
    ["cidr('x').prefixLength() == 0", 'network address parse error'],
    ['self.name.substring(9) == ""', 'index out of range: 9'],
    ["self.name.matches(self.image + '[')", 'error parsing regexp'],
    ["'%d'.format(['x']) == ''", 'error during formatting'],
  ])('%s: %s', (expression, why) => {
    expect(() => evaluate(expression)).toThrow(EvaluationError);
    expect(() => evaluate(expression)).toThrow(why);
  });
});

describe('what is refused before any object is there', () => {
  test.each([
    ['self.missing', "1:5: undefined field 'missing'"],
    ['self.open.anything == 1', "1:10: undefined field 'anything'"],
    ["self.replicas + 'x'", "1:15: found no matching overload for '_+_' applied to '(int, string)'"],
    ['self.replicas == 1.0', "1:15: found no matching overload for '_==_' applied to '(int, double)'"],
    ['self.name == null', "1:11: found no matching overload for '_==_' applied to '(string, null)'"],
    ['self.name.size() > "1"', "1:18: found no matching overload for '_>_' applied to '(int, string)'"],
    ['self.name.nope()', "1:15: undeclared reference to 'nope' (in container '')"],
    ['other.name', "1:1: undeclared reference to 'other' (in container '')"],
    ['self.name.contains(1)', "1:19: found no matching overload for 'contains' applied to 'string.(int)'"],
    ['self.hosts.all(h, h)', "1:19: expected type 'bool' but found 'string'"],
    ['self.replicas.all(x, true)', "1:5: expression of type 'int' cannot be range of a comprehension"],
    ['has(self)', '1:5: invalid argument to has() macro'],
    ['self.replicas.x', "1:14: type 'int' does not support field selection"],
    ["self.name.matches('[')", '1:19: invalid matches argument'],
    ["duration('soon') > self.timeout", '1:10: invalid duration argument'],
    ['self.paused ? 1 : "x"', "1:13: found no matching overload for '_?_:_'"],
    ['self.replicas >', '1:16: Syntax error'],
    ['self.name == "x', '1:14: Syntax error'],
    ['self.replicas > 9223372036854775808', '1:17: invalid int literal'],
    ['self.9lives == ""', 'Syntax error'],
  ])('%s: %s', (expression, why) => {
    const problem = catchCompileError(expression);
    expect(describeCompileError(problem, expression)).toContain(why);
  });

  test('a problem is shown below the place', () => {
    const expression = 'self.name == "a" &&\n  self.missing';
    expect(describeCompileError(catchCompileError(expression), expression)).toBe(
      "compilation failed: ERROR: <input>:2:7: undefined field 'missing'\n |   self.missing\n | ......^",
    );
  });

  test('nesting has an end', () => {
    expect(() => compileProgram(`${'!'.repeat(5_000)}true`, [])).toThrow();
    expect(() => compileProgram(Array(5_000).fill('true').join(' && '), [])).toThrow(CompileError);
  });
});

function catchCompileError(expression: string): CompileError {
  try {
    compileProgram(expression, variables);
  } catch (error) {
    if (error instanceof CompileError) return error;
    throw error;
  }
  throw new Error(`${expression} compiles`);
}

describe('what evaluation may cost', () => {
  const costOf = (expression: string) => {
    const budget = new Budget(1_000_000);
    evaluate(expression, budget);
    return budget.spent;
  };

  test('is the same each time, and grows with what is looked at', () => {
    expect(costOf('self.replicas > 1')).toBe(costOf('self.replicas > 1'));
    expect(costOf('self.sizes.all(x, x > 0)')).toBeGreaterThan(costOf('self.sizes.size() > 0'));
  });

  test.each([
    ['loops in loops', 'lists.range(1000).all(a, lists.range(1000).all(b, lists.range(1000).all(c, a + b + c >= 0)))'],
    ['a text that doubles', doubling(40)],
    ['a text that multiplies', `cel.bind(a, self.image.replace('', self.image), ${multiplying(6)})`],
    ['an error in each step', 'lists.range(1000).exists(a, lists.range(1000).exists(b, 1 / 0 == 1))'],
  ])('ends %s', (_, expression) => {
    expect(() => evaluate(expression)).toThrow(CostError);
  });
});

/** Binds each name to twice the one before it. */
function doubling(times: number): string {
  let body = `v${times}.size() > 0`;
  for (let index = times; index > 0; index--) body = `cel.bind(v${index}, v${index - 1} + v${index - 1}, ${body})`;
  return `cel.bind(v0, 'xxxxxxxxxx', ${body})`;
}

/** Puts the text between all characters of itself, again and again. */
function multiplying(times: number): string {
  return times === 0 ? 'a.size() > 0' : `cel.bind(a, a.replace('', a), ${multiplying(times - 1)})`;
}
