import { expect, test, vi } from 'vitest';
import { systemClock } from '#lib/std/clock.ts';
import { silentLog } from '#lib/std/log.ts';
import { VirtualClock } from '#test/virtual-clock.ts';
import { type AgentCommand, MachineError } from '../hypervisor.ts';
import { Freezes } from '../snapshots/freezes.ts';
import { describeGuest } from './guest-report.ts';
import { GuestAgents } from './watch-agents.ts';

const until = async (check: () => unknown): Promise<void> =>
  void (await vi.waitFor(check, { timeout: 5000, interval: 5 }));

type Answers = Readonly<Record<string, unknown>>;

const healthy: Answers = {
  'guest-ping': {},
  'guest-info': { version: '7.2.0' },
  'guest-get-osinfo': { 'pretty-name': 'Debian 12', 'kernel-release': '6.1.0' },
  'guest-get-host-name': { 'host-name': 'web' },
  'guest-network-get-interfaces': [
    { name: 'lo', 'hardware-address': '00:00:00:00:00:00', 'ip-addresses': [{ 'ip-address': '127.0.0.1' }] },
    {
      'hardware-address': '52:54:00:AA:BB:CC',
      'ip-addresses': [{ 'ip-address': '10.0.0.5' }, { 'ip-address': 'fe80::1' }, { 'ip-address': '2001:db8::5' }],
    },
  ],
};

const report = {
  connected: true,
  version: '7.2.0',
  os: 'Debian 12',
  kernel: '6.1.0',
  hostname: 'web',
  addresses: [{ mac: '52:54:00:aa:bb:cc', ips: ['10.0.0.5', '2001:db8::5'] }],
};

const asking = (answers: Answers) => async (execute: string) => {
  if (Object.hasOwn(answers, execute)) return answers[execute];
  throw new MachineError(`refused: ${execute}`);
};

test('what an agent says of its guest', async () => {
  expect(await describeGuest(asking(healthy))).toEqual(report);
});

test('an agent that knows little is an agent', async () => {
  const { 'guest-info': info } = healthy;
  expect(await describeGuest(asking({ 'guest-info': info }))).toEqual({
    connected: true,
    version: '7.2.0',
    addresses: [],
  });
});

test.each([
  [{ 'guest-info': null, 'guest-get-osinfo': 7, 'guest-network-get-interfaces': {} }],
  [{ 'guest-info': { version: {} }, 'guest-network-get-interfaces': [null, 5, { 'ip-addresses': 'x' }] }],
  [
    {
      'guest-info': { version: ' \n\u0000 ' },
      'guest-network-get-interfaces': [{ 'hardware-address': 'x', 'ip-addresses': [{ 'ip-address': '1.2.3.4' }] }],
    },
  ],
])('whatever it says is taken for no more than it is: %j', async (answers) => {
  expect(await describeGuest(asking(answers))).toEqual({ connected: true, version: 'unknown', addresses: [] });
});

test('what it says is bounded', async () => {
  const ips = Array.from({ length: 300 }, (_, index) => ({ 'ip-address': `10.0.${index >> 8}.${index & 255}` }));
  const nics = Array.from({ length: 50 }, () => ({ 'hardware-address': '52:54:00:00:00:01', 'ip-addresses': ips }));
  const guest = await describeGuest(
    asking({ 'guest-info': { version: 'v'.repeat(10_000) }, 'guest-network-get-interfaces': nics }),
  );
  expect(guest.version).toHaveLength(128);
  expect(guest.addresses.map((each) => each.ips.length)).toEqual([8, 8, 8, 8, 8, 8, 8, 8]);
});

test('only a change is told; a machine that is gone is forgotten; one that hangs keeps nobody waiting', async () => {
  const answers: Record<string, Answers | undefined> = { good: healthy, none: undefined, slow: healthy };
  const running = new Set(Object.keys(answers));
  const told: string[] = [];
  const hangs = Promise.withResolvers<void>();
  const hypervisor = {
    async agent(uid: string, { execute }: AgentCommand) {
      if (uid === 'slow') await hangs.promise;
      const said = answers[uid];
      if (!said) throw new MachineError('not connected');
      return await asking(said)(execute);
    },
  };
  const agents = new GuestAgents({
    hypervisor,
    freezes: new Freezes(systemClock),
    running: () => [...running],
    changed: (uid) => told.push(uid),
    everyMs: 10,
    clock: systemClock,
    log: silentLog,
  });
  await until(() => expect(agents.reportOf('good')).toEqual(report));
  await until(() => expect(agents.reportOf('none')).toEqual({ connected: false }));
  expect(agents.reportOf('slow')).toBeUndefined();
  hangs.resolve();
  await until(() => expect(agents.reportOf('slow')).toEqual(report));
  await systemClock.sleep(100);
  expect(told.sort()).toEqual(['good', 'slow']);
  answers.good = undefined;
  await until(() => expect(told).toEqual(['good', 'slow', 'good']));
  running.delete('slow');
  await until(() => expect(agents.reportOf('slow')).toBeUndefined());
  await agents[Symbol.asyncDispose]();
});

test('a guest that is frozen for a snapshot is not asked; what its agent left unsaid meanwhile is not told', async () => {
  const clock = new VirtualClock();
  const freezes = new Freezes(clock);
  let answer = async (): Promise<Answers> => healthy;
  let asked = 0;
  await using agents = new GuestAgents({
    hypervisor: {
      async agent(_uid: string, { execute }: AgentCommand) {
        asked += 1;
        return await asking(await answer())(execute);
      },
    },
    ...{ freezes, running: () => ['a'], changed: () => undefined, everyMs: 10_000, clock, log: silentLog },
  });
  await clock.advance(0);
  expect(agents.reportOf('a')).toEqual(report);
  const slow = Promise.withResolvers<Answers>();
  answer = async () => await slow.promise;
  await clock.advance(10_000);
  freezes.begin('a');
  slow.reject(new MachineError('The guest agent did not answer in time'));
  const before = asked;
  await clock.advance(30_000);
  expect([asked, agents.reportOf('a')]).toEqual([before, report]);
  freezes.end('a');
  await clock.advance(10_000);
  expect(agents.reportOf('a')).toEqual({ connected: false });
});
