import { expect, test } from 'vitest';
import { readServingFlags, type ServingFlags, servingFlags } from './flags.ts';

const defaults = Object.fromEntries(
  Object.entries(servingFlags).map(([name, flag]) => [name, flag.default]),
) as unknown as ServingFlags;
const policy = '{apiVersion: audit.k8s.io/v1, kind: Policy, rules: [{level: Metadata}]}';
const read = (flags: Partial<ServingFlags>, file = policy) => readServingFlags({ ...defaults, ...flags }, () => file);

test('without flags the limits are those of Kubernetes and nothing is written down', () => {
  expect(read({})).toEqual({
    limits: {
      maxRequestsInflight: 400,
      maxMutatingRequestsInflight: 200,
      userRate: { perSecond: 1_000, burst: 2_000 },
    },
    shutdown: { delayMs: 500, drainMs: 20_000 },
    strictTransportSecurity: '',
  });
});

test('the audit log goes where it is told, by the policy that it is told', () => {
  const { audit } = read({ 'audit-log-path': '/a', 'audit-policy-file': '/p', 'audit-log-maxsize': '1' });
  expect(audit).toMatchObject({ path: '/a', maxBytes: 1_048_576, maxBackups: 10 });
  expect(audit?.policy.rules).toHaveLength(1);
});

test.each<[Partial<ServingFlags>, RegExp]>([
  [{ 'max-requests-inflight': '0' }, /--max-requests-inflight is "0"/],
  [{ 'user-requests-per-second': 'many' }, /--user-requests-per-second is "many"/],
  [{ 'shutdown-delay-duration': '5' }, /write a duration such as 5s/],
  [{ 'audit-policy-file': '/p' }, /needs --audit-log-path/],
])('%j is refused', (flags, why) => {
  expect(() => read(flags)).toThrow(why);
});

test('a policy that cannot be read is named', () => {
  const flags = { 'audit-log-path': '/a', 'audit-policy-file': '/p' };
  expect(() => read(flags, '{rules: []}')).toThrow(/--audit-policy-file \/p: .*audit\.k8s\.io\/v1/);
});
