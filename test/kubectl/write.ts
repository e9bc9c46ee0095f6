/** Changes of objects that are there: edit, patch, replace, label, annotate, scale. */
import { map, pool } from './objects.ts';
import type { Row } from './row.ts';

const given = [pool('web', 2, { labels: { tier: 'one' } }), map('settings', { a: '1' })];
const replicas = (count: number) => ({ 'vmp/web': { spec: { replicas: count } } });

const rows: readonly Omit<Row, 'given'>[] = [
  {
    title: 'edit',
    steps: [
      { run: 'edit vmp web', edit: '/replicas:/s/2/3/', out: /edited/, leaves: replicas(3) },
      { run: 'edit cm settings', edit: '/a:.*1/s/a:/d:/', out: /edited/ },
      { run: 'get cm settings -o jsonpath={.data}', out: '{"d":"1"}' },
      { run: 'edit vmp web', edit: 's/3/3/', err: /cancelled|Edit cancelled/ },
    ],
  },
  {
    title: 'edit of a status',
    since: 24,
    steps: [
      { run: `patch vmp web --subresource=status --type=merge -p '{"status":{"replicas":7}}'`, out: /patched/ },
      {
        ...{ run: 'edit vmp web --subresource=status', edit: 's/replicas:.7/replicas:\\ 8/', out: /edited/ },
        leaves: { 'vmp/web': { spec: { replicas: 2 }, status: { replicas: 8 } } },
      },
    ],
  },
  {
    title: 'patch by JSON patch',
    steps: [
      {
        run: `patch vmp web --type=json -p '[{"op":"test","path":"/spec/replicas","value":2},{"op":"replace","path":"/spec/replicas","value":4}]'`,
        ...{ out: /patched/, leaves: replicas(4) },
      },
      {
        run: `patch vmp web --type=json -p '[{"op":"test","path":"/spec/replicas","value":2}]'`,
        ...{ code: 1, err: /The request is invalid/, leaves: replicas(4) },
      },
    ],
  },
  {
    title: 'patch by merge patch',
    steps: [
      { run: `patch vmp web --type=merge -p '{"spec":{"replicas":5}}'`, out: /patched/, leaves: replicas(5) },
      { run: `patch vmp web --type=merge -p '{"spec":{"replicas":5}}'`, out: /patched \(no change\)/ },
      { run: `patch vmp web --type=merge -p '{"spec":{"replicas":-1}}'`, code: 1, err: /spec\.replicas/ },
      { run: `patch cm settings --type=merge -p '{"data":{"a":null,"b":"2"}}'`, out: /patched/ },
      { run: 'get cm settings -o jsonpath={.data}', out: '{"b":"2"}' },
    ],
  },
  {
    title: 'patch by strategic merge patch',
    steps: [
      { run: `patch cm settings -p '{"data":{"c":"3"}}'`, out: /patched/ },
      { run: `patch cm settings -p '{"metadata":{"finalizers":["example.com/x","example.com/y"]}}'`, out: /patched/ },
      {
        run: `patch cm settings -p '{"metadata":{"$deleteFromPrimitiveList/finalizers":["example.com/x"]}}'`,
        ...{ out: /patched/, leaves: { 'cm/settings': { metadata: { finalizers: ['example.com/y'] } } } },
      },
      {
        run: `patch cm settings -p '{"metadata":{"finalizers":null},"data":{"$patch":"replace","e":"5"}}'`,
        out: /patched/,
      },
      { run: 'get cm settings -o jsonpath={.data}{.metadata.finalizers}', out: '{"e":"5"}' },
      { run: `patch vmp web -p '{"spec":{"replicas":5}}'`, code: 1, err: /UnsupportedMediaType|media type/ },
    ],
  },
  {
    title: 'patch of a status',
    since: 24,
    steps: [
      {
        run: `patch vmp web --subresource=status --type=merge -p '{"spec":{"replicas":9},"status":{"replicas":7}}'`,
        ...{ out: /patched/, leaves: { 'vmp/web': { spec: { replicas: 2 }, status: { replicas: 7 } } } },
      },
    ],
  },
  {
    title: 'replace',
    steps: [
      { run: 'replace -f -', input: [pool('web', 6)], out: /replaced/, leaves: replicas(6) },
      { run: 'get vmp web -o jsonpath={.metadata.labels}', out: '' },
      {
        run: 'replace -f -',
        ...{
          input: [pool('web', 7, { resourceVersion: '1' })],
          code: 1,
          err: /Conflict|modified/,
          leaves: replicas(6),
        },
      },
      { run: 'replace -f -', input: [pool('none', 6)], code: 1, err: /NotFound|not found/ },
      { run: 'replace --force -f -', input: [pool('web', 8)], out: /deleted\n.*replaced/, leaves: replicas(8) },
      { run: 'get vmp web -o jsonpath={.metadata.generation}', out: '1' },
    ],
  },
  {
    title: 'replace of a status',
    since: 24,
    steps: [
      {
        ...{ run: 'replace --subresource=status -f -', input: [pool('web', 9, {}, { status: { replicas: 7 } })] },
        ...{ out: /replaced/, leaves: { 'vmp/web': { spec: { replicas: 2 }, status: { replicas: 7 } } } },
      },
    ],
  },
  {
    title: 'label',
    steps: [
      {
        run: 'label vmp web team=blue',
        out: /labeled/,
        leaves: { 'vmp/web': { metadata: { labels: { team: 'blue' } } } },
      },
      { run: 'label vmp web team=red', code: 1, err: /already has a value \(blue\)/ },
      { run: 'label vmp web team=red --overwrite', out: /labeled/ },
      { run: 'label vmp --all team=green --overwrite', out: /labeled/ },
      { run: 'label vmp -l tier=one tier-', out: /unlabeled|labeled/ },
      { run: 'get vmp web -o jsonpath={.metadata.labels}', out: '{"team":"green"}' },
      { run: 'label cm settings a=b', out: /labeled/, leaves: { 'cm/settings': { metadata: { labels: { a: 'b' } } } } },
      { run: `label vmp web 'team=a b' --overwrite`, code: 1, err: /a valid label must|invalid label value/ },
    ],
  },
  {
    title: 'annotate',
    steps: [
      { run: 'annotate vmp/web example.com/ticket=42', out: /annotate/ },
      { run: 'annotate vmp/web example.com/ticket=43', code: 1, err: /already has a value|--overwrite is false/ },
      {
        ...{ run: 'annotate vmp/web example.com/ticket=43 --overwrite', out: /annotate/ },
        leaves: { 'vmp/web': { metadata: { annotations: { 'example.com/ticket': '43' } } } },
      },
      { run: 'annotate vmp/web example.com/ticket-', out: /annotate/ },
      { run: 'get vmp web -o jsonpath={.metadata.annotations}', out: '' },
    ],
  },
  {
    title: 'scale',
    steps: [
      { run: 'scale vmp/web --replicas=3', out: /scaled/, leaves: replicas(3) },
      { run: 'scale vmp web --replicas=4 --current-replicas=3', out: /scaled/, leaves: replicas(4) },
      { run: 'scale vmp web --replicas=5 --current-replicas=3', code: 1, err: /replicas to be 3/, leaves: replicas(4) },
      { run: 'scale vmp -l tier=one --replicas=6', out: /scaled/, leaves: replicas(6) },
      { run: 'scale cm/settings --replicas=1', code: 1, err: /could not find|not found/i },
    ],
  },
];

export const writeRows: readonly Row[] = rows.map((row) => ({ ...row, given }));
