/**
 * One suite, two subjects: the local Mesos in every run, and with MESOS_MASTER any real master (see README.md). Scenarios use nothing but
 * Mesos' own HTTP APIs.
 */
import { afterAll, beforeAll, describe, test } from 'vitest';
import { type Scenario, World, whyNotAgainst } from './scenario.ts';
import { agents } from './scenarios/agents.ts';
import { offers } from './scenarios/offers.ts';
import { operators } from './scenarios/operators.ts';
import { sessions } from './scenarios/sessions.ts';
import { tasks } from './scenarios/tasks.ts';
import { localSubject, realSubject, type Subject } from './subject.ts';

const masters = (process.env.MESOS_MASTER ?? '').split(',').filter((url) => url !== '');
const parts: Readonly<Record<string, readonly Scenario[]>> = { sessions, offers, tasks, operators, agents };
/** A real one takes its time: three waits of the longest kind. */
const timeout = masters.length === 0 ? 90_000 : 600_000;
const left: string[] = [];

let subject: Subject;
beforeAll(async () => {
  subject = await (masters.length === 0 ? localSubject() : realSubject(masters, process.env.MESOS_AGENT_BIN));
}, timeout);
afterAll(async () => {
  await subject?.[Symbol.asyncDispose]();
  if (left.length > 0) console.log(`Not run against ${subject.name}:\n${left.map((line) => `  ${line}`).join('\n')}`);
});

describe.each(Object.entries(parts))('%s', (_, scenarios) => {
  test.each(scenarios.map((scenario) => [scenario.name, scenario] as const))(
    '%s',
    { timeout },
    async (name, scenario) => {
      const why = whyNotAgainst(subject, scenario);
      if (why !== undefined) {
        left.push(`${name}: ${why}`);
        return;
      }
      await using world = new World(subject);
      await scenario.run(world);
    },
  );
});
