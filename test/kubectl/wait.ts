/** wait, for what is so already, for what comes, and for what does not. */
import { condition, map, pool } from './objects.ts';
import type { Row } from './row.ts';

const ready = { conditions: [condition('Ready', 'True')], displayStatus: 'Ready' };
const notReady = { conditions: [condition('Ready', 'False')], displayStatus: 'Waiting' };
const met = /condition met/;

export const waitRows: readonly Row[] = [
  {
    title: 'for a condition that is met',
    given: [pool('web', 1, {}, { status: ready })],
    steps: [
      { run: 'wait --for=condition=Ready vmp/web --timeout=10s', out: met },
      { run: 'wait --for=condition=Ready=false vmp/web --timeout=1s', code: 1, err: /timed out waiting/ },
      { run: 'wait --for=condition=Ready vmp --all --timeout=10s', out: met },
    ],
  },
  {
    title: 'for a condition that comes',
    given: [pool('web', 1, {}, { status: notReady })],
    steps: [
      {
        run: 'wait --for=condition=Ready vmp/web --timeout=20s -v=6',
        when: [[/watch=true/, { target: 'vmp/web/status', patch: { status: ready } }]],
        out: met,
      },
    ],
  },
  {
    title: 'for a value that comes',
    since: 23,
    given: [pool('web', 1, {}, { status: notReady })],
    steps: [
      {
        run: 'wait --for=jsonpath={.status.displayStatus}=Ready vmp/web --timeout=20s -v=6',
        when: [[/watch=true/, { target: 'vmp/web/status', patch: { status: ready } }]],
        out: met,
      },
    ],
  },
  {
    title: 'for any value',
    since: 30,
    given: [pool('web', 1, {}, { status: ready })],
    steps: [{ run: 'wait --for=jsonpath={.status.displayStatus} vmp/web --timeout=10s', out: met }],
  },
  {
    title: 'for the end of it',
    given: [map('held', {}, { finalizers: ['example.com/held'] })],
    steps: [
      { run: 'delete cm held --wait=false', out: /deleted/ },
      {
        run: 'wait --for=delete cm/held --timeout=20s -v=6',
        when: [[/watch=true/, { target: 'cm/held', patch: { metadata: { finalizers: null } } }]],
        leaves: { 'cm/held': null },
      },
    ],
  },
  {
    title: 'for what is there',
    since: 31,
    given: [map('settings', {})],
    steps: [
      { run: 'wait --for=create cm/settings --timeout=10s', out: met },
      { run: 'wait --for=create cm/none --timeout=1s', code: 1, err: /timed out|not found/ },
    ],
  },
];
