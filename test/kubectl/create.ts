/** create: kubectl's own generators, which are sent as protobuf from 1.32 on, and files. */
import { map, pool } from './objects.ts';
import type { Row } from './row.ts';

const creates = (title: string, run: string, target: string, object: object, more: Partial<Row> = {}): Row => ({
  ...{ title, steps: [{ run: `create ${run}`, out: /created/, leaves: { [target]: object } }] },
  ...more,
});

export const createRows: readonly Row[] = [
  creates('a config map', 'configmap made --from-literal=a=1 --from-literal=b=2', 'cm/made', {
    data: { a: '1', b: '2' },
  }),
  creates(
    'a config map of files',
    'configmap made --from-file=$dir',
    'cm/made',
    { data: { 'a.txt': 'words' } },
    {
      files: { 'a.txt': 'words' },
    },
  ),
  creates('a secret', 'secret generic made --from-literal=word=open', 'secret/made', {
    ...{ type: 'Opaque', data: { word: 'b3Blbg==' } },
  }),
  creates(
    'a secret for a registry',
    'secret docker-registry made --docker-username=u --docker-password=p --docker-server=r.example',
    'secret/made',
    {
      type: 'kubernetes.io/dockerconfigjson',
    },
  ),
  creates('a service account', 'serviceaccount made', 'sa/made', { metadata: { name: 'made' } }),
  creates('a role', 'role made --verb=get,list --resource=vmpools,configmaps', 'role/made', {
    rules: ['', 'computefactory.io'].map((group) => ({
      apiGroups: [group],
      resources: [group ? 'vmpools' : 'configmaps'],
      verbs: ['get', 'list'],
    })),
  }),
  creates('a role for names', 'role made --verb=get --resource=vmpools --resource-name=web', 'role/made', {
    rules: [{ apiGroups: ['computefactory.io'], resources: ['vmpools'], resourceNames: ['web'], verbs: ['get'] }],
  }),
  creates(
    'a role binding',
    'rolebinding made --clusterrole=view --user=vera --group=film --serviceaccount=$ns:robot',
    'rolebinding/made',
    {
      roleRef: { kind: 'ClusterRole', name: 'view' },
      subjects: [
        { kind: 'User', name: 'vera' },
        { kind: 'Group', name: 'film' },
        { kind: 'ServiceAccount', name: 'robot' },
      ],
    },
  ),
  {
    title: 'a namespace',
    steps: [
      { run: 'create namespace $ns-made', out: /created/, leaves: { 'ns/$ns-made': { status: { phase: 'Active' } } } },
      { run: 'get ns $ns-made', out: /^NAME +STATUS +AGE\nrow-\d+-made +Active/ },
      { run: 'create namespace $ns-made', code: 1, err: /AlreadyExists.*"row-\d+-made" already exists/ },
      { run: 'delete namespace $ns-made', out: /deleted/, leaves: { 'ns/$ns-made': null } },
    ],
  },
  {
    title: 'of files',
    steps: [
      {
        run: 'create -f -',
        input: [pool('web', 2), map('made', { a: '1' })],
        out: /web created\nconfigmap\/made created/,
        leaves: { 'vmp/web': { spec: { replicas: 2 } } },
      },
      {
        run: 'create -f -',
        input: [pool('web', 3)],
        code: 1,
        err: /AlreadyExists/,
        leaves: { 'vmp/web': { spec: { replicas: 2 } } },
      },
    ],
  },
  {
    title: 'of files, and remembered for apply',
    steps: [
      { run: 'create --save-config -f -', input: [pool('web', 2)], out: /created/ },
      { run: 'apply -f -', input: [pool('web', 2)], out: /unchanged/ },
    ],
  },
  {
    title: 'under a name of the server',
    steps: [
      {
        run: 'create -f -',
        input: '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"generateName":"made-"}}',
        out: /configmap\/made-\w{5} created/,
      },
    ],
  },
  {
    title: 'nothing, by a dry run',
    steps: [
      {
        run: 'create configmap made --dry-run=server -o jsonpath={.metadata.uid}',
        out: /\w{8}-\w{4}/,
        leaves: { 'cm/made': null },
      },
      {
        run: 'create -f - --dry-run=server',
        input: [pool('web', 2)],
        out: /created \(server dry run\)/,
        leaves: { 'vmp/web': null },
      },
    ],
  },
  {
    title: 'nothing that is not valid',
    steps: [
      { run: 'create -f -', input: [pool('web', -1)], code: 1, err: /spec\.replicas/, leaves: { 'vmp/web': null } },
      { run: 'create -f -', input: [pool('web', 1, {}, { spce: 1 })], code: 1, err: /unknown field "spce"/ },
      { run: 'create -f - --validate=false', input: [pool('web', 1, {}, { spce: 1 })], out: /created/ },
      { run: 'create -f -', input: [map('bad', { 'a b': '1' })], code: 1, err: /a valid config key must consist of/ },
    ],
  },
];
