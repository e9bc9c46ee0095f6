/** What is served here, and what its fields mean. */
import { pool } from './objects.ts';
import type { Row } from './row.ts';

const asks = (title: string, run: string, out: RegExp | readonly RegExp[], more: Partial<Row> = {}): Row => ({
  ...{ title, steps: [{ run, out }] },
  ...more,
});

export const discoverRows: readonly Row[] = [
  asks('kinds', 'api-resources', [
    /^NAME +SHORTNAMES +API\w+ +NAMESPACED +KIND\n/,
    /\nvmpools +vmp +.* true +VMPool\n/,
  ]),
  asks(
    'kinds of a group, by name',
    'api-resources --api-group=computefactory.io -o name',
    /^vmpools\.computefactory\.io$/m,
  ),
  asks(
    'kinds with verbs',
    'api-resources -o wide --api-group=computefactory.io',
    /VMPool +\[?(create|delete)[, ].*watch/,
  ),
  asks('kinds without a namespace', 'api-resources --namespaced=false -o name', /^clusters\.computefactory\.io$/m),
  asks('kinds that can be scaled', 'api-resources --verbs=list,watch --cached -o name', /^configmaps$/m),
  asks('kinds of a category', 'api-resources --categories=computefactory -o name', /^vmpools/m, { since: 27 }),
  asks('versions', 'api-versions', [/^apiextensions\.k8s\.io\/v1$/m, /^computefactory\.io\/v1alpha1$/m, /^v1$/m]),
  {
    // It asks for Services of the cluster, and there is no such kind here.
    title: 'the cluster',
    steps: [{ run: 'cluster-info', code: 1, err: /resource type "services"/ }],
  },
  asks('the version', 'version', /v1\.32\.0/),
  asks('the version as JSON', 'version -o json', /"gitVersion": "v1\.32\.0/),
  asks('a kind', 'explain vmp', [/KIND: +VMPool/, /spec\t<Object>/]),
  asks('a field', 'explain vmpools.spec.replicas', /How many machines\./),
  asks('a field of a built-in kind', 'explain secret.data', /Values in base64|base64/),
  asks('all fields', 'explain vmp.spec --recursive', [/ {2,}template\t<Object>/, / {4,}cores\t<integer>/]),
  asks('a version of a kind', 'explain vmp --api-version=computefactory.io/v1alpha1', /computefactory\.io/),
  asks('fields as OpenAPI v2 has them', 'explain vmp.spec --output=plaintext-openapiv2', /replicas\t<integer>/, {
    ...{ since: 27, until: 31 },
  }),
  {
    title: 'a field that is none',
    steps: [{ run: 'explain vmp.spec.nonsense', code: 1, err: /nonsense.* (does not|doesn't) exist|"nonsense"/ }],
  },
  asks('words of kinds to complete', '__complete get vmpool', /^vmpools\.computefactory\.io$/m, { since: 22 }),
  asks('names to complete', "__complete get vmp ''", [/^first$/m, /^second$/m], {
    ...{ since: 22, given: [pool('first', 1), pool('second', 1)] },
  }),
  asks('a script for completion', 'completion bash', /__start_kubectl/),
  asks('health', 'get --raw /readyz', /^ok/),
  asks('documents', 'get --raw /openapi/v3', /computefactory\.io\/v1alpha1/),
];
