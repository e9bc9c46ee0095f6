/** A child process of campaign.ts: gets seeds, answers with outcomes. Arguments: hours, and the plant if there is one. */
import { plant } from './plants.ts';

const [hours, bug] = process.argv.slice(2);
if (bug !== undefined) plant(bug);
// Only now: a plant changes what is loaded.
const { runSeed } = await import('./run.ts');

async function run(seed: number): Promise<void> {
  const before = process.cpuUsage();
  const outcome = await runSeed(seed, Number(hours));
  const { user, system } = process.cpuUsage(before);
  process.send!({ ...outcome, cpuMs: (user + system) / 1000 });
}

process.on('message', (seed: number) => void run(seed));
process.on('disconnect', () => process.exit());
