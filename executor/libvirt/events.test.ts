import { expect, test } from 'vitest';
import { decodeEvent, domainEvent } from './events.ts';
import { encodeDomain } from './protocol.ts';
import * as xdr from './xdr.ts';
import { XdrReader } from './xdr.ts';

const uuid = '0e3a1f6c-0000-4000-8000-000000000001';
const ours = { name: `cf-${uuid}`, uuid, id: 7 };

/** As libvirt writes it: registration, domain, then what the kind has. Procedure numbers are those of remote_protocol.x. */
const message = (domain: typeof ours, ...fields: (number | string)[]) =>
  new XdrReader(
    Buffer.concat([
      xdr.int32(1),
      encodeDomain(domain),
      ...fields.map((field) => (typeof field === 'string' ? xdr.string(field) : xdr.int32(field))),
    ]),
  );

test.each([
  [318, [2, 0], { type: 'Lifecycle', power: { power: 'On' } }],
  [318, [3, 0], { type: 'Lifecycle', power: { power: 'Paused', pausedReason: 'User' } }],
  [318, [3, 2], { type: 'Lifecycle', power: { power: 'Paused', pausedReason: 'IOError' } }],
  [318, [3, 3], { type: 'Lifecycle', power: { power: 'Paused', pausedReason: 'Other' } }],
  [318, [5, 2], { type: 'Lifecycle', power: { power: 'Off', offReason: 'Crashed' } }],
  [318, [0, 0], { type: 'Lifecycle', power: undefined }],
  [319, [], { type: 'Reboot' }],
  [321, [1], { type: 'Watchdog', action: 'Pause' }],
  [321, [99], { type: 'Watchdog', action: 'Unknown' }],
  [
    324,
    ['/d/root.qcow2', 'virtio-disk0', 1, 'enospc'],
    { type: 'IOError', path: '/d/root.qcow2', device: 'virtio-disk0', action: 'Pause', reason: 'enospc' },
  ],
  [333, ['virtio-disk1'], { type: 'DeviceRemoved', device: 'virtio-disk1' }],
  [339, ['vda', 4, 3], { type: 'BlockJob', disk: 'vda', job: 'ActiveCommit', status: 'Ready' }],
  [348, [1, 2], { type: 'GuestAgent', state: 'Connected' }],
  [348, [2, 2], { type: 'GuestAgent', state: 'Disconnected' }],
])('message %i with %j', (number, fields, event) => {
  expect(decodeEvent(number, message(ours, ...fields))).toEqual({ domain: ours, ...event });
});

test('an event that is cut off is a RangeError, whatever its kind; a message of another kind is none', () => {
  for (const number of [318, 321, 324, 333, 339, 348])
    expect(() => decodeEvent(number, message(ours))).toThrow(RangeError);
  expect(decodeEvent(320, message(ours))).toBeUndefined();
});

test('machines hear of power and reboots of our domains alone', () => {
  const heard = (number: number, domain: typeof ours, ...fields: (number | string)[]) =>
    domainEvent(decodeEvent(number, message(domain, ...fields))!);
  expect(heard(318, ours, 3, 2)).toEqual({ uid: uuid, power: 'Paused', pausedReason: 'IOError' });
  expect(heard(319, ours)).toEqual({ uid: uuid, power: 'On', rebooted: true });
  expect(heard(318, ours, 0, 0)).toBeUndefined();
  expect(heard(324, ours, '/d', 'a', 1, '')).toBeUndefined();
  expect(heard(318, { ...ours, name: 'other' }, 2, 0)).toBeUndefined();
});
