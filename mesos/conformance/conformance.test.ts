/**
 * One suite, two subjects: the local Mesos in every run, and with MESOS_MASTER any real master (see README.md). Scenarios use nothing but
 * Mesos' own HTTP APIs.
 */
import { afterAll, describe, test } from 'vitest';
import { type Scenario, World, whyNotAgainst } from './scenario.ts';
import { agents } from './scenarios/agents.ts';
import { offers } from './scenarios/offers.ts';
import { operators } from './scenarios/operators.ts';
import { sessions } from './scenarios/sessions.ts';
import { tasks } from './scenarios/tasks.ts';
import { localSubject, realSubject } from './subject.ts';

const masters = (process.env.MESOS_MASTER ?? '').split(',').filter((url) => url !== '');
const parts: Readonly<Record<string, readonly Scenario[]>> = { sessions, offers, tasks, operators, agents };
/** A real one takes its time: three waits of the longest kind. */
const timeout = masters.length === 0 ? 90_000 : 600_000;

// Before the tests are listed: a scenario that this subject does not allow is told, and is no test that passes.
const subject = await (masters.length === 0 ? localSubject() : realSubject(masters, process.env.MESOS_AGENT_BIN));
afterAll(() => subject[Symbol.asyncDispose](), timeout);

const left = Object.values(parts)
  .flat()
  .map((scenario) => ({ name: scenario.name, why: whyNotAgainst(subject, scenario) }))
  .filter(({ why }) => why !== undefined)
  .map(({ name, why }) => `  ${name}: ${why}`);
if (left.length > 0) console.log(`Not run against ${subject.name}:\n${left.join('\n')}`);

describe.each(Object.entries(parts))('%s', (_part, scenarios) => {
  const allowed = scenarios.filter((scenario) => whyNotAgainst(subject, scenario) === undefined);
  test.each(allowed.map((scenario) => [scenario.name, scenario] as const))(
    '%s',
    { timeout },
    async (_name, scenario) => {
      await using world = new World(subject);
      await scenario.run(world);
    },
  );
});
