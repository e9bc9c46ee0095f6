/** apply on the client's side and on the server's, from one to the other, and diff. */
import { map, pool } from './objects.ts';
import type { Row } from './row.ts';

const configured = /configured/;
const conflict = /conflict with "kubectl": \.spec\.replicas/;

export const applyRows: readonly Row[] = [
  {
    title: 'makes, leaves alone, changes',
    steps: [
      { run: 'apply -f -', input: [pool('web', 2)], out: 'vmpool.computefactory.io/web created' },
      { run: 'apply -f -', input: [pool('web', 2)], out: 'vmpool.computefactory.io/web unchanged' },
      { run: 'diff -f -', input: [pool('web', 2)], out: '' },
      { run: 'diff -f -', input: [pool('web', 3)], code: 1, out: /-\s+replicas: 2\n\+\s+replicas: 3/ },
      { run: 'apply -f - --dry-run=server', input: [pool('web', 3)], out: configured },
      { run: 'get vmp web -o jsonpath={.spec.replicas}', out: '2' },
      { run: 'apply -f -', input: [pool('web', 3)], out: configured, leaves: { 'vmp/web': { spec: { replicas: 3 } } } },
      { run: 'apply view-last-applied vmp web', out: /replicas: 3/ },
    ],
  },
  {
    title: 'takes away what is left out, and leaves what others wrote',
    given: [map('stranger', {})],
    steps: [
      { run: 'apply -f -', input: [map('settings', { a: '1', b: '1' })], out: /created/ },
      { run: `patch cm settings --type=merge -p '{"data":{"c":"3"}}'`, out: /patched/ },
      {
        ...{ run: 'apply -f -', input: [map('settings', { b: '2' })], out: configured },
        leaves: { 'cm/settings': { data: { b: '2', c: '3' } } },
      },
      { run: 'get cm settings -o jsonpath={.data}', out: '{"b":"2","c":"3"}' },
    ],
  },
  {
    title: 'merges lists of a built-in kind by key',
    given: [],
    steps: [
      { run: 'apply -f -', input: [{ ...account(['a', 'b', 'c']) }], out: /created/ },
      { run: `patch sa robot -p '{"secrets":[{"name":"other"}]}'`, out: /patched/ },
      { run: 'apply -f -', input: [account(['c', 'a'])], out: configured },
      { run: 'get sa robot -o jsonpath={.secrets[*].name}', out: /^(?!.*\bb\b)(?=.*a)(?=.*c)(?=.*other)/ },
    ],
  },
  {
    title: 'prunes by label',
    steps: [
      { run: 'apply -f -', input: [labelled('one'), labelled('two'), map('stranger', {})], out: /created/ },
      {
        run: 'apply -f - --prune -l team=blue --prune-whitelist=core/v1/ConfigMap',
        ...{ input: [labelled('one')], out: /configmap\/two pruned/ },
        leaves: { 'cm/one': {}, 'cm/two': null, 'cm/stranger': {} },
      },
    ],
    until: 25,
  },
  {
    title: 'prunes what is on its list, by label',
    steps: [
      { run: 'apply -f -', input: [labelled('one'), labelled('two'), map('stranger', {})], out: /created/ },
      {
        run: 'apply -f - --prune -l team=blue --prune-allowlist=core/v1/ConfigMap',
        ...{ input: [labelled('one')], out: /configmap\/two pruned/ },
        leaves: { 'cm/one': {}, 'cm/two': null, 'cm/stranger': {} },
      },
    ],
    since: 26,
  },
  {
    title: 'diff of what is not there',
    steps: [
      { run: 'diff -f -', input: [pool('web', 2)], code: 1, out: /\+\s+replicas: 2/, leaves: { 'vmp/web': null } },
      { run: 'diff -f -', input: [pool('web', -2)], code: 2, err: /spec\.replicas/ },
      { run: 'diff --server-side -f -', input: [pool('web', 2)], code: 1, out: /\+\s+replicas: 2/ },
    ],
  },
  {
    title: 'on the server: makes, leaves alone, tells the difference',
    steps: [
      {
        run: 'apply --server-side -f -',
        input: [pool('web', 2)],
        out: 'vmpool.computefactory.io/web serverside-applied',
      },
      {
        ...{ run: 'apply --server-side -f -', input: [pool('web', 2)], out: /serverside-applied/ },
        leaves: {
          'vmp/web': { metadata: { generation: 1, managedFields: [{ manager: 'kubectl', operation: 'Apply' }] } },
        },
      },
      { run: 'diff --server-side -f -', input: [pool('web', 2)], out: '' },
      { run: 'diff --server-side -f -', input: [pool('web', 3)], code: 1, out: /-\s+replicas: 2\n\+\s+replicas: 3/ },
      { run: 'apply --server-side --dry-run=server -f -', input: [pool('web', 3)], out: /\(server dry run\)/ },
      { run: 'get vmp web -o jsonpath={.spec.replicas}', out: '2' },
    ],
  },
  {
    title: 'on the server: who owns it is in the way, but for force',
    steps: [
      { run: 'apply --server-side -f -', input: [pool('web', 2)], out: /applied/ },
      {
        ...{ run: 'apply --server-side --field-manager=other -f -', input: [pool('web', 3)], code: 1, err: conflict },
        leaves: { 'vmp/web': { spec: { replicas: 2 } } },
      },
      {
        run: 'apply --server-side --field-manager=other --force-conflicts -f -',
        ...{ input: [pool('web', 3)], out: /applied/, leaves: { 'vmp/web': { spec: { replicas: 3 } } } },
      },
      {
        run: 'apply --server-side -f -',
        input: [pool('web', 2)],
        code: 1,
        err: /conflict with "other": \.spec\.replicas/,
      },
    ],
  },
  {
    title: 'from the client to the server and back',
    steps: [
      { run: 'apply -f -', input: [map('settings', { a: '1', b: '1', c: '1' })], out: /created/ },
      { run: 'apply --server-side -f -', input: [map('settings', { a: '2', b: '1', c: '1' })], out: /applied/ },
      { run: 'apply --server-side -f -', input: [map('settings', { a: '2', b: '1' })], out: /applied/ },
      { run: 'apply view-last-applied cm settings -o json', out: [/"a": "2"/, /^(?!.*"c")/s] },
      { run: 'apply -f -', input: [map('settings', { a: '3' })], out: configured },
      { run: 'get cm settings -o jsonpath={.data.a}{.data.b}', out: '3' },
      {
        ...{ run: 'apply --server-side -f -', input: [map('settings', { a: '4' })], out: /applied/ },
        leaves: { 'cm/settings': { data: { a: '4' } } },
      },
    ],
  },
  {
    title: 'from the client to the server: what is left out goes',
    // Before 1.26 kubectl leaves its older entry as a second owner.
    since: 26,
    steps: [
      { run: 'apply -f -', input: [map('settings', { a: '1', b: '1' })], out: /created/ },
      { run: 'apply --server-side -f -', input: [map('settings', { a: '2' })], out: /applied/ },
      { run: 'get cm settings -o jsonpath={.data}', out: '{"a":"2"}' },
    ],
  },
  {
    title: 'a kind of our own, to the server and back',
    steps: [
      { run: 'apply -f -', input: [pool('web', 2)], out: /created/ },
      { run: 'apply --server-side -f -', input: [pool('web', 3)], out: /applied/ },
      { run: 'apply -f -', input: [pool('web', 4)], out: configured },
      { run: 'apply -f -', input: [pool('web', 4)], out: /unchanged/ },
      {
        ...{ run: 'apply --server-side -f -', input: [pool('web', 5)], out: /applied/ },
        leaves: { 'vmp/web': { spec: { replicas: 5 } } },
      },
    ],
  },
  {
    title: 'sets and edits what was applied last',
    steps: [
      { run: 'create -f -', input: [map('settings', { a: '1' })], out: /created/ },
      {
        run: 'apply set-last-applied --create-annotation -f -',
        input: [map('settings', { a: '1' })],
        out: /configured/,
      },
      { run: 'apply edit-last-applied cm settings', edit: '/a:/s/1/2/', out: /edited/ },
      { run: 'apply view-last-applied cm settings', out: /a: "2"/ },
      { run: 'apply -f -', input: [map('settings', {})], out: configured },
      { run: 'get cm settings -o jsonpath={.data}', out: /^(\{\})?$/ },
    ],
  },
];

function account(secrets: readonly string[]): ReturnType<typeof map> {
  return {
    ...{ apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: 'robot' } },
    secrets: secrets.map((name) => ({ name })),
  };
}

function labelled(name: string): ReturnType<typeof map> {
  return map(name, {}, { labels: { team: 'blue' } });
}
