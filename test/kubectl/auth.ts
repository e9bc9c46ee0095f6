/** Questions about access, and rights given. `$vera` is the token of a user who may only what a row lets her. */
import type { Manifest, Row } from './row.ts';

const rbac = 'rbac.authorization.k8s.io';
const role: Manifest = {
  ...{ apiVersion: `${rbac}/v1`, kind: 'Role', metadata: { name: 'machines', namespace: '$ns' } },
  rules: [{ apiGroups: ['computefactory.io'], resources: ['vmpools', 'vmpools/scale'], verbs: ['get', 'list'] }],
};
const binding: Manifest = {
  ...{ apiVersion: `${rbac}/v1`, kind: 'RoleBinding', metadata: { name: 'vera', namespace: '$ns' } },
  ...{
    subjects: [{ kind: 'User', name: 'vera', apiGroup: rbac }],
    roleRef: { kind: 'Role', name: 'machines', apiGroup: rbac },
  },
};
const given = [role, binding];

export const authRows: readonly Row[] = [
  {
    title: 'auth can-i, for oneself and for others',
    given,
    steps: [
      // The authorizer hears of a new binding a moment later.
      { run: 'auth can-i list vmpools --token=$vera', out: 'yes', again: true },
      { run: 'auth can-i get vmpools --subresource=scale --token=$vera', out: 'yes' },
      { run: 'auth can-i get vmp/web --token=$vera', out: 'yes' },
      { run: 'auth can-i delete vmpools --token=$vera', code: 1, out: 'no' },
      { run: 'auth can-i list vmp --as vera', out: 'yes' },
      { run: `auth can-i '*' '*'`, out: 'yes' },
      { run: 'auth can-i get /version --token=$vera', out: 'yes' },
      { run: 'auth can-i list vmpools --token=$vera -q', out: '' },
    ],
  },
  {
    title: 'auth can-i --list',
    given,
    steps: [
      { run: 'auth can-i list vmpools --token=$vera', out: 'yes', again: true },
      {
        run: 'auth can-i --list --token=$vera',
        out: [/^vmpools\.computefactory\.io +\[\] +\[\] +\[get list\]/m, /\[\/api\/\*\]/],
      },
    ],
  },
  {
    title: 'auth reconcile',
    steps: [
      { run: 'auth reconcile -f -', input: given, out: [/machines reconciled/, /vera reconciled/] },
      {
        run: 'auth reconcile -f -',
        input: given,
        out: /machines reconciled/,
        leaves: { 'role/machines': { metadata: {} } },
      },
    ],
  },
  // It came with 1.26, and asks for the version that is served here since 1.28.
  {
    title: 'auth whoami',
    since: 28,
    steps: [{ run: 'auth whoami --token=$vera', out: [/Username +vera/, /\[film sound system:authenticated\]/] }],
  },
  {
    title: 'create token',
    since: 24,
    steps: [
      { run: 'create serviceaccount robot', out: /created/ },
      { run: 'create rolebinding robot --clusterrole=view --serviceaccount=$ns:robot', out: /created/ },
      { run: 'create token robot --duration=20m', out: /^[\w-]+\.[\w-]+\.[\w-]+$/m, keeps: '$robot' },
      { run: 'auth can-i list vmpools --token=$robot', out: 'yes', again: true },
      { run: 'auth can-i list secrets --token=$robot', code: 1, out: 'no' },
    ],
  },
  {
    title: 'what may not be done',
    steps: [
      {
        run: 'delete vmp none --token=$vera',
        code: 1,
        err: /vmpools\.computefactory\.io "none" is forbidden: User "vera" cannot delete resource "vmpools" in API group "computefactory\.io" in the namespace "row-\d+"/,
      },
      { run: 'get secrets --token=$vera', code: 1, err: /Forbidden.*cannot list resource "secrets"/ },
    ],
  },
];
