/** Folders with a kustomization. */
import type { Row } from './row.ts';

const files = {
  'kustomization.yaml': `resources: [pool.yaml]\nnamePrefix: film-\nconfigMapGenerator:\n- name: settings\n  literals: [a=1]\n`,
  'pool.yaml': `apiVersion: computefactory.io/v1alpha1
kind: VMPool
metadata: {name: web}
spec:
  replicas: 2
  template: {spec: {resources: {cores: 1, memory: 128Mi}, image: {name: tiny}}}
`,
};

export const kustomizeRows: readonly Row[] = [
  {
    title: 'build, diff, apply, get, delete',
    files,
    steps: [
      { run: 'kustomize $dir', out: [/name: film-web/, /name: film-settings-\w{10}/] },
      { run: 'diff -k $dir', code: 1, out: /\+\s+replicas: 2/, leaves: { 'vmp/film-web': null } },
      { run: 'apply -k $dir', out: /film-web created/, leaves: { 'vmp/film-web': { spec: { replicas: 2 } } } },
      { run: 'apply -k $dir', out: [/configmap\/film-settings-\w+ unchanged/, /film-web unchanged/] },
      { run: 'diff -k $dir', out: '' },
      { run: 'get -k $dir -o name', out: /film-web/ },
      { run: 'delete -k $dir', out: /"film-web" deleted/, leaves: { 'vmp/film-web': null } },
    ],
  },
  {
    title: 'apply on the server',
    files,
    steps: [{ run: 'apply --server-side -k $dir', out: /film-web serverside-applied/, leaves: { 'vmp/film-web': {} } }],
  },
];
