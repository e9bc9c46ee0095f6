/** The operator API: reading, the event stream, reservations, maintenance, draining: recordings 09, 12, 13, 14, 18, 20. */
import { expect } from 'vitest';
import type { ApiName } from '#mesos/schema/apis.ts';
import { read } from '#mesos/schema/codec.ts';
import type { Resource } from '#mesos/types.ts';
import { decodeRecords } from '../../recordio.ts';
import { type Scenario, scalar, type World } from '../scenario.ts';

const questions = [
  ...[
    'GET_HEALTH',
    'GET_VERSION',
    'GET_MASTER',
    'GET_AGENTS',
    'GET_FRAMEWORKS',
    'GET_EXECUTORS',
    'GET_TASKS',
    'GET_STATE',
  ],
  ...['GET_ROLES', 'GET_WEIGHTS', 'GET_QUOTA', 'GET_OPERATIONS', 'GET_MAINTENANCE_STATUS', 'GET_MAINTENANCE_SCHEDULE'],
];

type Event = { readonly type: string; readonly [key: string]: unknown };

/** Reads the operator stream in the background until the scenario ends. */
async function operatorEvents(world: World): Promise<Event[]> {
  const events: Event[] = [];
  const end = new AbortController();
  const headers = { 'content-type': 'application/json', accept: 'application/json' };
  const body = '{"type":"SUBSCRIBE"}';
  const response = await fetch(`${world.url}/api/v1`, { method: 'POST', headers, body, signal: end.signal });
  const reading = (async () => {
    for await (const event of decodeRecords(response.body!)) events.push(event as Event);
  })().catch(() => undefined);
  world.defer(() => {
    end.abort();
    return reading;
  });
  return events;
}

/** Cpus reserved for the scenario's role, with a label to tell them by. */
function reserved(world: World, amount: number) {
  const reservation = { type: 'DYNAMIC', role: world.role, labels: { labels: [{ key: 'by', value: world.role }] } };
  return [{ ...scalar('cpus', amount), reservations: [reservation] }];
}

export const operators: readonly Scenario[] = [
  {
    name: 'every question of the operator API is answered with messages of the right form',
    async run(world) {
      for (const type of questions) {
        const answer = await world.operator<{ type: string }>({ type });
        expect(read('masterResponse' satisfies ApiName, answer), type).toMatchObject({ type });
      }
    },
  },
  {
    name: 'calls that Mesos does not know are refused',
    async run(world) {
      const text = `Failed to validate master::Call: Expecting 'type' to be present`;
      for (const call of [{}, { type: 'NOPE' }])
        expect(await world.operatorStatus(call)).toEqual({ status: 400, text });
    },
  },
  {
    name: 'the operator stream begins with everything there is and tells of frameworks and tasks',
    async run(world) {
      const events = await operatorEvents(world);
      await world.until('SUBSCRIBED', () => events.find(({ type }) => type === 'SUBSCRIBED'));
      expect(events[0]).toMatchObject({ type: 'SUBSCRIBED', subscribed: { get_state: expect.any(Object) } });
      await world.until('HEARTBEAT', () => events.find(({ type }) => type === 'HEARTBEAT'));
      const scheduler = await world.scheduler();
      const task = `${world.role}-t`;
      await world.launch(scheduler, task, 'exit 0');
      await world.status(scheduler, task, 'TASK_FINISHED');
      for (const type of ['FRAMEWORK_ADDED', 'TASK_ADDED', 'TASK_UPDATED'])
        await world.until(type, () => events.find((event) => event.type === type));
      await scheduler.call({ type: 'TEARDOWN' });
      await world.until('FRAMEWORK_REMOVED', () => events.find(({ type }) => type === 'FRAMEWORK_REMOVED'));
      for (const event of events) expect(read('masterEvent', event)).toBe(event);
    },
  },
  {
    name: 'RESERVE_RESOURCES takes back the offer in the way and shows in the next one; UNRESERVE_RESOURCES undoes it',
    async run(world) {
      const scheduler = await world.scheduler();
      const { agent_id, id } = await world.offer(scheduler);
      const resources = reserved(world, 1);
      const body = { agent_id, resources };
      expect(await world.operatorStatus({ type: 'RESERVE_RESOURCES', reserve_resources: body })).toEqual({
        status: 202,
        text: '',
      });
      const unreserve = { type: 'UNRESERVE_RESOURCES', unreserve_resources: body };
      world.defer(() => world.operatorStatus(unreserve));
      await world.until('RESCIND', () =>
        scheduler.events.find((event) => event.type === 'RESCIND' && event.rescind.offer_id.value === id.value),
      );
      await scheduler.call({ type: 'REVIVE' });
      const next = await world.offer(scheduler, agent_id.value);
      expect(next.resources).toContainEqual({ ...resources[0], allocation_info: { role: world.role } });
      expect(await world.operatorStatus(unreserve)).toEqual({ status: 202, text: '' });
    },
  },
  {
    name: 'a refined reservation is offered to who knows of such, and to nobody else',
    async run(world) {
      const first = await world.scheduler();
      const { agent_id } = await world.offer(first);
      await first.call({ type: 'TEARDOWN' });
      const child = `${world.role}/child`;
      const below = { type: 'DYNAMIC', role: world.role };
      const amount = (...reservations: object[]) => [{ ...scalar('cpus', 1), reservations }];
      const call = (type: string, resources: object[]) =>
        world.operatorStatus({ type, [type.toLowerCase()]: { agent_id, resources } });
      const stack = [below, { type: 'DYNAMIC', role: child }];
      expect(await call('RESERVE_RESOURCES', amount(below))).toMatchObject({ status: 202 });
      expect(await call('RESERVE_RESOURCES', amount(...stack))).toMatchObject({ status: 202 });
      world.defer(async () => {
        await call('UNRESERVE_RESOURCES', amount(...stack));
        await call('UNRESERVE_RESOURCES', amount(below));
      });
      const isRefined = ({ reservations = [] }: Resource) => reservations.length > 1;
      const older = await world.scheduler({ roles: [child], capabilities: [{ type: 'MULTI_ROLE' }] });
      const offer = await world.offer(older, agent_id.value);
      expect(offer.resources?.filter((one) => one.role === child)).toEqual([]);
      await older.call({ type: 'TEARDOWN' });
      const newer = await world.scheduler({ roles: [child] });
      expect((await world.offer(newer, agent_id.value)).resources?.filter(isRefined)).toMatchObject([
        { name: 'cpus', scalar: { value: 1 }, reservations: stack },
      ]);
      await newer.call({ type: 'TEARDOWN' });
      await world.aWhile();
    },
  },
  {
    name: 'reservations that cannot be are refused: 409 for too much, 400 for nonsense',
    async run(world) {
      const scheduler = await world.scheduler();
      const { agent_id } = await world.offer(scheduler);
      const reserve = async (more: object) =>
        world.operatorStatus({ type: 'RESERVE_RESOURCES', reserve_resources: { agent_id, ...more } });
      const tooMuch = await reserve({ resources: reserved(world, 100_000) });
      expect(tooMuch).toMatchObject({ status: 409, text: expect.stringMatching(/ does not contain cpus:100000$/) });
      expect(await reserve({ resources: [scalar('cpus', 1)] })).toMatchObject({
        status: 400,
        text: expect.stringMatching(
          /^Invalid RESERVE operation on agent .*: Resource cpus:1 is not dynamically reserved$/,
        ),
      });
      expect(await reserve({ agent_id: { value: 'zz' }, resources: reserved(world, 1) })).toEqual({
        status: 400,
        text: 'No agent found with specified ID',
      });
    },
  },
  {
    name: 'a framework reserves in an ACCEPT, is told of the outcome by id, and launches on it',
    async run(world) {
      const scheduler = await world.scheduler();
      const offer = await world.offer(scheduler);
      const [resource] = reserved(world, 0.5);
      const resources = [{ ...resource!, allocation_info: { role: world.role } }];
      await scheduler.call({
        type: 'ACCEPT',
        accept: {
          offer_ids: [offer.id],
          operations: [{ type: 'RESERVE', id: { value: 'reserve-1' }, reserve: { resources } }],
          filters: { refuse_seconds: 0 },
        },
      });
      const { update_operation_status } = await world.until('UPDATE_OPERATION_STATUS', () =>
        scheduler.events.find((event) => event.type === 'UPDATE_OPERATION_STATUS'),
      );
      const { status } = update_operation_status;
      expect(status).toMatchObject({ operation_id: { value: 'reserve-1' }, state: 'OPERATION_FINISHED' });
      const acknowledge = { operation_id: status.operation_id, agent_id: status.agent_id };
      const refused = await scheduler.post({
        type: 'ACKNOWLEDGE_OPERATION_STATUS',
        acknowledge_operation_status: { ...acknowledge, uuid: status.uuid },
      });
      expect(refused).toMatchObject({ status: 400, text: expect.stringContaining(`JSON object for field 'uuid'`) });
      await scheduler.call({
        type: 'ACKNOWLEDGE_OPERATION_STATUS',
        acknowledge_operation_status: { ...acknowledge, uuid: status.uuid!.value },
      });
      const again = await world.until('an offer with the reservation', () =>
        scheduler.offers.find((one) => one.resources?.some(({ reservations }) => reservations !== undefined)),
      );
      const operations = [{ type: 'UNRESERVE', unreserve: { resources } }];
      await scheduler.call({ type: 'ACCEPT', accept: { offer_ids: [again.id], operations } });
      await world.until('the end of the reservation', async () => {
        type Agents = { get_agents: { agents: { total_resources: { role?: string }[] }[] } };
        const { get_agents } = await world.operator<Agents>({ type: 'GET_AGENTS' });
        return (
          get_agents.agents.every((one) => one.total_resources.every(({ role }) => role !== world.role)) || undefined
        );
      });
    },
  },
  {
    name: 'planned maintenance is in offers and in inverse offers, whose answers are noted',
    async run(world) {
      const scheduler = await world.scheduler();
      const task = `${world.role}-t`;
      const offer = await world.offer(scheduler);
      const ip = (offer.url as { address: { ip: string } }).address.ip;
      await world.accept(scheduler, offer, [world.task(offer, task)]);
      await world.status(scheduler, task, 'TASK_RUNNING');
      const unavailability = { start: { nanoseconds: (Date.now() + 3_600_000) * 1_000_000 } };
      const update = (windows: object[]) =>
        world.operatorStatus({
          type: 'UPDATE_MAINTENANCE_SCHEDULE',
          update_maintenance_schedule: { schedule: { windows } },
        });
      world.defer(() => update([]));
      const machine = { hostname: offer.hostname, ip };
      expect(await update([{ machine_ids: [machine], unavailability }])).toEqual({ status: 200, text: '' });
      const asked = await world.until('INVERSE_OFFERS', () =>
        scheduler.events.find((event) => event.type === 'INVERSE_OFFERS'),
      );
      const [inverse] = asked.inverse_offers.inverse_offers;
      expect(inverse).toMatchObject({ agent_id: offer.agent_id, unavailability: { start: expect.any(Object) } });
      await world.until('an offer that says so', () =>
        scheduler.offers.find((one) => one.unavailability !== undefined),
      );
      await scheduler.call({
        type: 'ACCEPT_INVERSE_OFFERS',
        accept_inverse_offers: { inverse_offer_ids: [inverse!.id], filters: { refuse_seconds: 1000 } },
      });
      await world.until('the answer', async () => {
        const { text } = await world.operatorStatus({ type: 'GET_MAINTENANCE_STATUS' });
        return text.includes('"ACCEPT"') || undefined;
      });
      const start = {
        type: 'START_MAINTENANCE',
        start_maintenance: { machines: [{ hostname: 'other', ip: '1.2.3.4' }] },
      };
      expect(await world.operatorStatus(start)).toEqual({
        status: 400,
        text: `Machine '{"hostname":"other","ip":"1.2.3.4"}' is not part of a maintenance schedule`,
      });
    },
  },
  {
    name: 'a deactivated agent makes no offers until it is reactivated',
    async run(world) {
      const scheduler = await world.scheduler();
      const { agent_id, id } = await world.offer(scheduler);
      const call = (type: string) => world.operatorStatus({ type, [type.toLowerCase()]: { agent_id } });
      world.defer(() => call('REACTIVATE_AGENT'));
      expect(await call('DEACTIVATE_AGENT')).toEqual({ status: 200, text: '' });
      await world.until('RESCIND', () =>
        scheduler.events.find((event) => event.type === 'RESCIND' && event.rescind.offer_id.value === id.value),
      );
      scheduler.offers.length = 0;
      await scheduler.call({ type: 'REVIVE' });
      await world.aWhile();
      expect(scheduler.offers.filter((offer) => offer.agent_id.value === agent_id.value)).toEqual([]);
      expect(await call('REACTIVATE_AGENT')).toEqual({ status: 200, text: '' });
      await world.offer(scheduler, agent_id.value);
    },
  },
  {
    name: 'weights take back all offers; a limit cuts what is offered',
    async run(world) {
      const scheduler = await world.scheduler();
      const { id } = await world.offer(scheduler);
      const weights = (weight: number) =>
        world.operatorStatus({
          type: 'UPDATE_WEIGHTS',
          update_weights: { weight_infos: [{ role: world.role, weight }] },
        });
      world.defer(() => weights(1));
      expect(await weights(2)).toEqual({ status: 200, text: '' });
      await world.until('RESCIND', () =>
        scheduler.events.find((event) => event.type === 'RESCIND' && event.rescind.offer_id.value === id.value),
      );
      scheduler.offers.length = 0;
      const quota = (limits: object) =>
        world.operatorStatus({
          type: 'UPDATE_QUOTA',
          update_quota: { quota_configs: [{ role: world.role, ...limits }] },
        });
      world.defer(() => quota({}));
      await scheduler.call({ type: 'SUPPRESS' });
      const limits = { cpus: { value: 0.5 }, mem: { value: 64 } };
      expect(await quota({ limits })).toEqual({ status: 200, text: '' });
      // What is out already was offered before there was a limit.
      const offers = scheduler.offers.splice(0);
      if (offers.length > 0)
        await scheduler.call({ type: 'DECLINE', decline: { offer_ids: offers.map((one) => one.id) } });
      await scheduler.call({ type: 'REVIVE' });
      const cut = await world.offer(scheduler);
      expect(cut.resources?.find(({ name }) => name === 'cpus')?.scalar?.value).toBe(0.5);
    },
  },
];
