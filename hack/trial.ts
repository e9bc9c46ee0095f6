/**
 * The trial of real processes: hack/trial.ts [--seed N] [--each 20] [--rounds 6] [--keep DIR]. Each kind of process is killed and stopped so many times
 * while machines come and go. Prints every fault, then what they came to. Exit code 1 if a promise was broken; --keep then has the logs.
 */
import { parseArgs } from 'node:util';
import { runTrial } from '#test/e2e/trials/processes/trial.ts';

const option = { type: 'string' } as const;
const { values } = parseArgs({ options: { seed: option, each: option, rounds: option, keep: option } });
const { failures, report } = await runTrial({
  seed: Number(values.seed ?? Date.now() % 1_000_000),
  each: Number(values.each ?? '20'),
  rounds: Number(values.rounds ?? '6'),
  print: (line) => console.log(line),
  ...(values.keep === undefined ? {} : { keepIn: values.keep }),
});
console.log(report);
for (const failure of failures) console.log(failure);
process.exitCode = failures.length > 0 ? 1 : 0;
