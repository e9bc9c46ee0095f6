/** Events of both groups, and where kubectl shows them. */
import { map } from './objects.ts';
import type { Manifest, Row } from './row.ts';

const time = '2026-01-01T00:00:00Z';
const object = { apiVersion: 'v1', kind: 'ConfigMap', namespace: '$ns', name: 'settings', uid: '$uid' };
const old: Manifest = {
  ...{ apiVersion: 'v1', kind: 'Event', metadata: { name: 'settings.1', namespace: '$ns' }, type: 'Warning' },
  ...{ involvedObject: object, reason: 'Old', source: { component: 'test' }, message: 'said in old words' },
  ...{ firstTimestamp: time, lastTimestamp: time, count: 4 },
};
const fresh: Manifest = {
  ...{ apiVersion: 'events.k8s.io/v1', kind: 'Event', metadata: { name: 'settings.2', namespace: '$ns' } },
  ...{ regarding: object, reason: 'New', reportingController: 'test', type: 'Normal', note: 'said in new words' },
  ...{ eventTime: '2026-01-01T00:00:00.000000Z', action: 'Testing', reportingInstance: 'one' },
};
const both = { run: 'create -f -', input: [old, fresh], out: /created\n.*created/ };

export const eventRows: readonly Row[] = [
  {
    title: 'get events',
    given: [map('settings', {})],
    steps: [
      both,
      {
        run: 'get events',
        out: [
          /^LAST SEEN +TYPE +REASON +OBJECT +MESSAGE/,
          /Warning +Old +configmap\/settings +said in old words/,
          /Normal +New +configmap\/settings +said in new words/,
        ],
      },
      { run: 'get events -o wide', out: /Old .* test .*said in old words .* 4 +settings.1/ },
      { run: 'get events.events.k8s.io', out: /New +configmap\/settings +said in new words/ },
      { run: 'get events --field-selector type=Warning -o name', out: 'event/settings.1' },
      { run: 'get events --field-selector involvedObject.name=none -o name', out: '' },
      { run: 'get events --sort-by=.metadata.name -o name', out: /settings\.1\n.*settings\.2/ },
    ],
  },
  {
    title: 'describe shows them',
    given: [map('settings', {})],
    steps: [
      { run: 'get cm settings -o jsonpath={.metadata.uid}', out: /./, keeps: '$uid' },
      both,
      { run: 'describe cm settings', out: [/Warning +Old .*said in old words/, /Normal +New .*said in new words/] },
    ],
  },
  {
    title: 'events',
    since: 26,
    steps: [
      both,
      { run: 'events', out: [/Warning +Old +ConfigMap\/settings +said in old words/, /New +ConfigMap\/settings/] },
      { run: 'events --for configmap/settings', out: /New +ConfigMap\/settings +said in new words/ },
      { run: 'events --for configmap/other', err: /No events found/ },
      { run: 'events --types=Warning', out: /^(?=.*Old)(?!.*New)/s },
      { run: 'events -o json', out: /"reason": "Old"/ },
    ],
  },
];
