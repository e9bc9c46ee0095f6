/**
 * Seeds of the chaos run, one after the other: hack/chaos.ts --seeds FROM-TO [--hours H] [--plant BUG]. One line per seed that broke a promise, and
 * one for all. Exit code 1 if any did.
 */
import { parseArgs } from 'node:util';
import { plant } from '#test/chaos/plants.ts';

const { values } = parseArgs({
  options: { seeds: { type: 'string' }, hours: { type: 'string' }, plant: { type: 'string' } },
});
if (values.plant !== undefined) plant(values.plant);
const { runSeed } = await import('#test/chaos/run.ts');
const [from = 1, to = from] = (values.seeds ?? '1-20').split('-').map(Number);
const hours = Number(values.hours ?? '6');
const startedMs = performance.now();
const faults = new Map<string, number>();
let broken = 0;
for (let seed = from; seed <= to; seed++) {
  const outcome = await runSeed(seed, hours);
  for (const [name, count] of outcome.faults) faults.set(name, (faults.get(name) ?? 0) + count);
  if (outcome.failures.length === 0) continue;
  broken++;
  if (values.plant !== undefined) {
    console.log(`${values.plant} is found by seed ${seed}: ${outcome.failures[0]}`);
    process.exit(1);
  }
  console.log(`seed ${seed}: ${outcome.failures.slice(0, 5).join('\n  ')}`);
}
const seconds = (performance.now() - startedMs) / 1000;
console.log(
  `${to - from + 1} seeds of ${hours} hours, ${[...faults.values()].reduce((sum, count) => sum + count, 0)} faults of ` +
    `${faults.size} kinds, ${broken} broken, ${((to - from + 1) / seconds).toFixed(2)} seeds/s`,
);
process.exitCode = broken > 0 ? 1 : 0;
