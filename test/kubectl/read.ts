/** get in all its forms, describe, and following changes. */
import { condition, map, pool } from './objects.ts';
import type { Manifest, Row } from './row.ts';

const status = { replicas: 2, readyReplicas: 1, displayStatus: 'Scaling', conditions: [condition('Ready', 'False')] };
const pools: readonly Manifest[] = [
  pool('large', 9, { labels: { tier: 'one' } }, { status: { ...status, desired: 9 } }),
  pool('small', 2, { labels: { tier: 'two' } }, { status: { ...status, desired: 2 } }),
];

const reads = (title: string, run: string, out: string | RegExp | readonly RegExp[], more: Partial<Row> = {}): Row => ({
  ...{ title, given: pools, steps: [{ run, out }] },
  ...more,
});

export const readRows: readonly Row[] = [
  reads('a table', 'get vmp', /^NAME +DESIRED +READY +UPDATED +STATUS +AGE\nlarge +9 +1 .*Scaling +\S+\nsmall +2 /),
  reads('a wide table', 'get vmp -o wide', /AGE +CLUSTER +IMAGE +UNREACHABLE +FAILED\nlarge .* tiny /),
  reads('a table of one', 'get vmpool small', /^NAME .*\nsmall +2 .*\n$/),
  reads('a table without a head', 'get vmp --no-headers', /^large +9/),
  reads('a table with labels', 'get vmp --show-labels', [/AGE +LABELS\n/, /tier=one\n/]),
  reads('a table with a column of a label', 'get vmp -L tier', [/AGE +TIER\n/, /large .* one\n/]),
  reads('a table with kinds', 'get vmp --show-kind', /\nvmpool.computefactory.io\/large +9/),
  reads('sorted', 'get vmp --sort-by=.spec.replicas', /\nsmall .*\nlarge /),
  reads('sorted, as names', 'get vmp --sort-by={.spec.replicas} -o name', /small\n.*large/),
  reads('of all namespaces', 'get vmp -A', /^NAMESPACE +NAME .*(\nrow-\d+ +\w+ .*)+/),
  reads('by label', 'get vmp -l tier=one -o name', 'vmpool.computefactory.io/large'),
  reads('by a set of labels', "get vmp -l 'tier in (one,two),tier!=one' -o name", 'vmpool.computefactory.io/small'),
  reads('by field', 'get vmp --field-selector metadata.name=small -o name', 'vmpool.computefactory.io/small'),
  reads('a category', 'get computefactory -o name', /vmpool.computefactory.io\/large\nvmpool.computefactory.io\/small/),
  reads('several kinds', 'get vmp,cm -o name', /vmpool.computefactory.io\/small/, {
    given: [...pools, map('settings', {})],
  }),
  reads('by type and name', 'get vmp/small vmp/large -o name', /small\n.*large/),
  reads('YAML', 'get vmp small -o yaml', [
    /^apiVersion: computefactory.io\/v1alpha1\nkind: VMPool\n/,
    /\n {2}replicas: 2\n/,
  ]),
  reads('a list as YAML', 'get vmp -o yaml', [/^apiVersion: v1\nitems:\n- apiVersion/, /\nkind: List\n/]),
  reads('JSON', 'get vmp small -o json', [/"kind": "VMPool"/, /"replicas": 2,/]),
  reads('a JSON path', 'get vmp -o jsonpath={.items[*].spec.replicas}', '9 2'),
  reads(
    "columns of one's own",
    'get vmp -o custom-columns=N:.metadata.name,R:.spec.replicas',
    /^N +R\nlarge +9\nsmall +2$/m,
  ),
  reads('a Go template', "get vmp -o 'go-template={{range .items}}{{.metadata.name}} {{end}}'", 'large small'),
  reads('managed fields on request', 'get vmp small -o yaml --show-managed-fields', /managedFields:\n/, { since: 21 }),
  reads('pages', 'get vmp --chunk-size=1 -o name', /large\n.*small/),
  reads('a status by itself', 'get vmp small --subresource=status -o jsonpath={.status.desired}', '2', { since: 24 }),
  reads('a scale by itself', 'get vmp small --subresource=scale -o jsonpath={.kind}/{.spec.replicas}', 'Scale/2', {
    since: 24,
  }),
  reads('a path', 'get --raw /apis/computefactory.io/v1alpha1/namespaces/$ns/vmpools/small', /"kind":"VMPool"/),
  reads('a description', 'describe vmp small', [
    /^Name: +small\nNamespace: +row-\d+\n/,
    /Replicas: +2/,
    /Reason: +Told/,
  ]),
  {
    title: 'a description of a built-in kind',
    given: [map('settings', { a: '1' })],
    steps: [{ run: 'describe cm settings', out: /a:\n----\n1\n/ }],
  },
  {
    title: 'nothing',
    steps: [
      { run: 'get vmp', out: '', err: /No resources found in row-\d+ namespace/ },
      { run: 'get vmp none', code: 1, err: /vmpools.computefactory.io "none" not found/ },
      { run: 'get vmp none --ignore-not-found', out: '' },
      { run: 'get nonsense', code: 1, err: /doesn't have a resource type "nonsense"/ },
      { run: 'get vmp --field-selector spec.nonsense=1', code: 1, err: /field label not supported|spec.nonsense/ },
    ],
  },
  {
    title: 'follows changes of all',
    given: pools,
    steps: [
      {
        run: 'get vmp -w',
        when: [[/small +2 /, { target: 'vmp/small/status', patch: { status: { displayStatus: 'Ready' } } }]],
        until: /\nsmall +2 .*Ready/,
      },
    ],
  },
  {
    title: 'follows changes of one',
    given: pools,
    steps: [
      {
        // Of a single object the first event is not shown: it is taken for what was shown already.
        run: 'get vmp small -w -o name -v=6',
        when: [[/watch=true/, { target: 'vmp/small', patch: { metadata: { labels: { a: 'b' } } } }]],
        until: /\/small\n[\s\S]*\/small\n/,
      },
    ],
  },
  {
    title: 'follows only changes',
    given: pools,
    steps: [
      {
        run: 'get vmp --watch-only --output-watch-events -v=6',
        when: [[/watch=true/, { target: 'vmp/small/status', patch: { status: { displayStatus: 'Ready' } } }]],
        until: /MODIFIED +small +2 .*Ready/,
      },
    ],
  },
];
