/**
 * The trial of the lab: hack/lab-trial.ts [--seed N] [--faults 100] [--rounds 10] [--keep DIR]. Three real hosts, as root: power, link and every kind
 * of process fail at random while real machines come, go, restart and are moved. Prints every fault, then what they came to. Exit code 1 if a promise
 * was broken; --keep then has the logs.
 */
import { parseArgs } from 'node:util';
import { runLabTrial } from '#test/e2e/trials/lab/trial.ts';

const option = { type: 'string' } as const;
const { values } = parseArgs({ options: { seed: option, faults: option, rounds: option, keep: option } });
const faults = Number(values.faults ?? '100');
const { failures, report } = await runLabTrial({
  faults,
  seed: Number(values.seed ?? Date.now() % 1_000_000),
  rounds: Number(values.rounds ?? Math.ceil(faults / 10)),
  print: (line) => console.log(line),
  ...(values.keep === undefined ? {} : { keepIn: values.keep }),
});
console.log(report);
for (const failure of failures) console.log(failure);
process.exitCode = failures.length > 0 ? 1 : 0;
