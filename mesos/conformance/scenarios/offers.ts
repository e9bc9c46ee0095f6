/** Offers and how to refuse them: recordings 01, 05, 06, 20. */
import { expect } from 'vitest';
import { type Scenario, scalar } from '../scenario.ts';

export const offers: readonly Scenario[] = [
  {
    name: 'an offer names its agent, role and resources',
    async run(world) {
      const scheduler = await world.scheduler();
      const offer = await world.offer(scheduler);
      expect(offer).toMatchObject({
        framework_id: { value: scheduler.frameworkId },
        hostname: expect.any(String),
        allocation_info: { role: world.role },
      });
      for (const resource of offer.resources ?? []) {
        expect(resource.allocation_info).toEqual({ role: world.role });
        expect(resource.role).toBeUndefined();
      }
    },
  },
  {
    name: 'without RESERVATION_REFINEMENT unreserved resources are of role *',
    async run(world) {
      const capabilities = [{ type: 'MULTI_ROLE' }, { type: 'PARTITION_AWARE' }];
      const offer = await world.offer(await world.scheduler({ capabilities }));
      expect(offer.resources?.find(({ name }) => name === 'cpus')).toMatchObject({ role: '*' });
    },
  },
  {
    name: 'a framework that is not MULTI_ROLE is not told for which role an offer is',
    async run(world) {
      const { roles: _, ...info } = world.info();
      const old = { ...info, role: world.role, capabilities: [{ type: 'PARTITION_AWARE' }] };
      const scheduler = await world.scheduler({ ...old, roles: undefined as never });
      const offer = await world.offer(scheduler);
      expect(offer.allocation_info).toBeUndefined();
      for (const resource of offer.resources ?? []) expect(resource.allocation_info).toBeUndefined();
      const task = `${world.role}-t`;
      await world.accept(scheduler, offer, [world.task(offer, task)]);
      await world.status(scheduler, task, 'TASK_RUNNING');
    },
  },
  {
    name: 'a framework that wants much or nothing is not offered less',
    async run(world) {
      const wanting = (cpus: number) => ({
        offer_filters: {
          [world.role]: { min_allocatable_resources: { quantities: [{ quantities: { cpus: { value: cpus } } }] } },
        },
      });
      const scheduler = await world.scheduler(wanting(100_000));
      await world.aWhile();
      expect(scheduler.offers).toEqual([]);
      const framework_info = { ...world.info(wanting(1)), id: { value: scheduler.frameworkId! } };
      const update = { type: 'UPDATE_FRAMEWORK', update_framework: { framework_info } };
      expect(await scheduler.post(update)).toMatchObject({ status: 200 });
      await world.offer(scheduler);
    },
  },
  {
    name: 'offer constraints: only agents that match are offered, by host name or attribute',
    async run(world) {
      const first = await world.scheduler();
      const { hostname } = await world.offer(first);
      await first.call({ type: 'TEARDOWN' });
      const pseudo = { pseudoattribute_type: 'HOSTNAME' };
      const only = (predicate: object, selector: object = pseudo) => {
        const groups = [{ attribute_constraints: [{ selector, predicate }] }];
        return { offer_constraints: { role_constraints: { [world.role]: { groups } } } };
      };
      for (const constraints of [
        only({ text_equals: { value: 'no-such-host' } }),
        only({ exists: {} }, { attribute_name: 'no-such-attribute' }),
        only({ text_not_matches: { regex: '.*' } }),
      ]) {
        const nothing = await world.scheduler({}, constraints);
        await world.aWhile();
        expect(nothing.offers, JSON.stringify(constraints)).toEqual([]);
      }
      const regex = hostname.replaceAll('.', '[.]');
      const matching = await world.scheduler({}, only({ text_matches: { regex } }));
      expect((await world.offer(matching)).hostname).toBe(hostname);
    },
  },
  {
    name: 'what was declined is not offered again until its filter ends or REVIVE',
    async run(world) {
      const scheduler = await world.scheduler();
      const { id, agent_id } = await world.offer(scheduler);
      const filters = { refuse_seconds: 1000 };
      await scheduler.call({ type: 'DECLINE', decline: { offer_ids: [id], filters } });
      await world.aWhile();
      expect(scheduler.offers.filter((offer) => offer.agent_id.value === agent_id.value)).toEqual([]);
      await scheduler.call({ type: 'REVIVE' });
      await world.offer(scheduler, agent_id.value);
    },
  },
  {
    name: 'a declined offer with refuse_seconds 0 comes back with the next allocation',
    async run(world) {
      const scheduler = await world.scheduler();
      const { id, agent_id } = await world.offer(scheduler);
      await scheduler.call({ type: 'DECLINE', decline: { offer_ids: [id], filters: { refuse_seconds: 0 } } });
      await world.offer(scheduler, agent_id.value);
    },
  },
  {
    name: 'SUPPRESS stops offers and keeps the held ones; REVIVE brings them back',
    async run(world) {
      const scheduler = await world.scheduler();
      const { id } = await world.offer(scheduler);
      await scheduler.call({ type: 'SUPPRESS' });
      await scheduler.call({ type: 'DECLINE', decline: { offer_ids: [id], filters: { refuse_seconds: 0 } } });
      await world.aWhile();
      const seen = scheduler.offers.length;
      await world.aWhile();
      expect(scheduler.offers.length).toBe(seen);
      expect(scheduler.events.some(({ type }) => type === 'RESCIND')).toBe(false);
      await scheduler.call({ type: 'REVIVE' });
      await world.until('an offer', () => scheduler.offers.length > seen || undefined);
    },
  },
  {
    name: 'a call with a role that the framework does not have is taken and ignored',
    async run(world) {
      const scheduler = await world.scheduler();
      await world.offer(scheduler);
      expect(await scheduler.post({ type: 'SUPPRESS', suppress: { roles: ['no-such-role'] } })).toMatchObject({
        status: 202,
      });
      await scheduler.call({ type: 'REVIVE' });
    },
  },
  {
    name: 'tasks on an offer that is no more are dropped, without a uuid',
    async run(world) {
      const scheduler = await world.scheduler();
      const offer = await world.offer(scheduler);
      const task = `${world.role}-t`;
      await world.accept(scheduler, { ...offer, id: { value: 'bogus-O1' } }, [world.task(offer, task)]);
      expect(await world.status(scheduler, task, 'TASK_DROPPED')).toMatchObject({
        reason: 'REASON_INVALID_OFFERS',
        source: 'SOURCE_MASTER',
        message: 'Task launched with invalid offers: Offer bogus-O1 is no longer valid',
      });
      expect(scheduler.statuses(task)[0]!.uuid).toBeUndefined();
    },
  },
  {
    name: 'a task that is wrong is an error of its own; the others are launched',
    async run(world) {
      const scheduler = await world.scheduler();
      const offer = await world.offer(scheduler);
      const [good, large, twice] = [`${world.role}-good`, `${world.role}-large`, `${world.role}-good`];
      await world.accept(scheduler, offer, [
        world.task(offer, good),
        { ...world.task(offer, large), resources: [scalar('cpus', 100_000), scalar('mem', 32)] },
        world.task(offer, twice),
      ]);
      expect(await world.status(scheduler, large, 'TASK_ERROR')).toMatchObject({
        reason: 'REASON_TASK_INVALID',
        message: expect.stringContaining('is more than available'),
      });
      expect(await world.status(scheduler, twice, 'TASK_ERROR')).toMatchObject({
        message: `Task has duplicate ID: ${twice}`,
      });
      await world.status(scheduler, good, 'TASK_RUNNING');
    },
  },
];
