/** delete: which objects, whether it waits, and what becomes of what they own. */
import { map } from './objects.ts';
import type { Manifest, Row } from './row.ts';

const owner = (kind: string, name: string) => ({ apiVersion: 'v1', kind, name, blockOwnerDeletion: true });
const owned = (name: string, by: string, more: object = {}): Manifest =>
  map(name, {}, { ownerReferences: [owner('ConfigMap', by)], ...more });
const family: readonly Manifest[] = [
  map('parent', {}),
  owned('child', 'parent'),
  owned('grandchild', 'child'),
  map('stranger', {}),
];
const allGone = { 'cm/parent': null, 'cm/child': null, 'cm/grandchild': null, 'cm/stranger': {} };
const some: readonly Manifest[] = [
  map('one', {}, { labels: { team: 'blue' } }),
  map('two', {}, { labels: { team: 'red' } }),
  map('three', {}),
];

export const deleteRows: readonly Row[] = [
  {
    title: 'in the background',
    given: family,
    steps: [{ run: 'delete cm parent', out: /configmap "parent" deleted/, leaves: allGone }],
  },
  {
    title: 'in the background, by name of the way',
    given: family,
    steps: [{ run: 'delete cm parent --cascade=background', out: /deleted/, leaves: allGone }],
  },
  {
    title: 'in the foreground, waiting for all',
    given: family,
    steps: [
      { run: 'delete cm parent --cascade=foreground --timeout=20s', out: /deleted/ },
      { run: 'get cm -o name', out: /^configmap\/stranger\n$/ },
    ],
  },
  {
    title: 'in the foreground, behind a child that is held',
    given: [map('parent', {}), owned('child', 'parent', { finalizers: ['example.com/held'] })],
    steps: [
      {
        ...{ run: 'delete cm parent --cascade=foreground --wait=false', out: /deleted/ },
        leaves: {
          'cm/parent': { metadata: { finalizers: ['foregroundDeletion'] } },
          'cm/child': { metadata: { deletionGracePeriodSeconds: 0 } },
        },
      },
      { run: `patch cm child --type=merge -p '{"metadata":{"finalizers":null}}'`, leaves: { 'cm/parent': null } },
    ],
  },
  {
    title: 'as orphans',
    given: family,
    steps: [
      {
        ...{ run: 'delete cm parent --cascade=orphan', out: /deleted/ },
        leaves: { 'cm/parent': null, 'cm/child': {}, 'cm/grandchild': {} },
      },
      { run: 'get cm child -o jsonpath={.metadata.ownerReferences}', out: '' },
    ],
  },
  {
    title: 'waits while a finalizer holds it',
    given: [map('held', {}, { finalizers: ['example.com/held'] })],
    steps: [
      {
        run: 'delete cm held --timeout=20s -v=6',
        when: [[/watch=true/, { target: 'cm/held', patch: { metadata: { finalizers: null } } }]],
        ...{ out: /deleted/, leaves: { 'cm/held': null } },
      },
    ],
  },
  {
    title: 'gives up waiting',
    given: [map('held', {}, { finalizers: ['example.com/held'] })],
    steps: [
      { run: 'delete cm held --timeout=1s', code: 1, err: /timed out waiting/ },
      { run: 'get cm held -o jsonpath={.metadata.finalizers}', out: '["example.com/held"]' },
    ],
  },
  {
    title: 'by label',
    given: some,
    steps: [{ run: 'delete cm -l team=blue', out: /"one" deleted/, leaves: { 'cm/one': null, 'cm/two': {} } }],
  },
  {
    title: 'by field',
    given: some,
    steps: [
      {
        run: 'delete cm --field-selector=metadata.name=two',
        out: /"two" deleted/,
        leaves: { 'cm/two': null, 'cm/one': {} },
      },
    ],
  },
  {
    title: 'all',
    given: some,
    steps: [{ run: 'delete cm --all', out: /deleted/, leaves: { 'cm/one': null, 'cm/two': null, 'cm/three': null } }],
  },
  {
    title: 'of files',
    given: some,
    steps: [
      {
        run: 'delete -f -',
        input: [map('one', {}), map('two', {})],
        leaves: { 'cm/one': null, 'cm/two': null, 'cm/three': {} },
      },
      { run: 'delete -f -', input: [map('one', {})], code: 1, err: /NotFound/ },
      { run: 'delete -f - --ignore-not-found', input: [map('one', {})], out: '' },
    ],
  },
  {
    title: 'nothing, by a dry run',
    given: some,
    steps: [{ run: 'delete cm one --dry-run=server', out: /\(server dry run\)/, leaves: { 'cm/one': {} } }],
  },
  {
    title: 'by force',
    given: some,
    steps: [{ run: 'delete cm one --now', out: /deleted/, leaves: { 'cm/one': null } }],
  },
  {
    title: 'a namespace with all that is in it',
    given: [],
    steps: [
      { run: 'create namespace $ns-whole', out: /created/ },
      { run: 'create cm one -n $ns-whole', out: /created/ },
      { run: 'delete namespace $ns-whole --timeout=20s', out: /deleted/, leaves: { 'ns/$ns-whole': null } },
      { run: 'get cm one -n $ns-whole', code: 1, err: /not found/ },
    ],
  },
];
