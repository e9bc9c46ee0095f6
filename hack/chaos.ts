/**
 * Seeds of the chaos run: hack/chaos.ts --seeds FROM-TO [--hours H] [--jobs N] [--plant BUG]. Two runs of the same seeds end with the same
 * trace. Exit code 1 if a seed broke a promise. With --plants: each planted bug at the seed that found it last, then at others, since every
 * change of the code makes other days of the same seeds; exit code 1 if one is not found.
 */
import { createHash } from 'node:crypto';
import { parseArgs } from 'node:util';
import { runCampaign, type Timed } from '#test/chaos/campaign.ts';
import { plants, requirePlantable } from '#test/chaos/plants.ts';

const progressMs = 30_000;
const plantHours = 2;
const mostPlantSeeds = 30;

const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '1-20' },
    hours: { type: 'string', default: '6' },
    jobs: { type: 'string', default: '1' },
    plant: { type: 'string' },
    plants: { type: 'boolean', default: false },
  },
});
const [from = 1, to = from] = values.seeds.split('-').map(Number);
const [hours, jobs] = [Number(values.hours), Number(values.jobs)];
const { plant } = values;
for (const name of plant === undefined ? Object.keys(values.plants ? plants : {}) : [plant]) requirePlantable(name);
const startedMs = performance.now();
const outcomes: Timed[] = [];
const isBroken = ({ failures }: Timed): boolean => failures.length > 0;

function progress(): string {
  const broken = outcomes.filter(isBroken).length;
  const minutes = (performance.now() - startedMs) / 60_000;
  const leftMinutes = (minutes / Math.max(1, outcomes.length)) * (to - from + 1 - outcomes.length);
  return `${outcomes.length} of ${to - from + 1} seeds done, ${broken} broken, ${minutes.toFixed(1)} min gone, ${leftMinutes.toFixed(1)} left`;
}

function ended(outcome: Timed): boolean {
  outcomes.push(outcome);
  if (!isBroken(outcome)) return true;
  console.log(`seed ${outcome.seed}: ${outcome.failures.slice(0, 5).join('\n  ')}`);
  return plant === undefined;
}

function summary(): string {
  const sorted = outcomes.toSorted((a, b) => a.seed - b.seed);
  const counts = new Map<string, number>();
  for (const { faults } of sorted)
    for (const [name, count] of faults) counts.set(name, (counts.get(name) ?? 0) + count);
  const faults = [...counts.values()].reduce((sum, count) => sum + count, 0);
  const trace = createHash('sha256')
    .update(sorted.map(({ traceHash }) => traceHash).join())
    .digest('hex')
    .slice(0, 16);
  const broken = sorted.filter(isBroken);
  const again = broken.map(
    ({ seed }) => `  again: CF_CHAOS_LOG=1 CF_CHAOS_FAULTS=1 node hack/chaos.ts --seeds ${seed} --hours ${hours}\n`,
  );
  const cpuSeconds = sorted.reduce((sum, { cpuMs }) => sum + cpuMs, 0) / 1000 / (sorted.length * hours);
  return (
    `${again.join('')}${sorted.length} seeds of ${hours} hours, ${faults} faults of ${counts.size} kinds, ${broken.length} broken, ` +
    `trace ${trace}, ${cpuSeconds.toFixed(2)} s of processor time per hour`
  );
}

/** True if somebody noticed. */
async function isFound(name: string): Promise<boolean> {
  const { seed } = plants[name]!;
  const finds = async (from: number, to: number) => {
    const ended = (outcome: Timed) => outcomes.push(outcome) > 0 && !isBroken(outcome);
    await runCampaign({ from, to, hours: plantHours, jobs: 1, plant: name, ended });
    return isBroken(outcomes.at(-1)!);
  };
  const found = (await finds(seed, seed)) || (await finds(1, mostPlantSeeds));
  console.log(found ? foundBy(name, outcomes.at(-1)!) : `${name} is not found by any of seeds 1-${mostPlantSeeds}`);
  return found;
}

function foundBy(name: string, { seed, minutes, failures }: Timed): string {
  return `${name} is found by seed ${seed} after ${minutes} virtual minutes: ${failures[0]}`;
}

async function runPlants(): Promise<boolean> {
  const names = Object.keys(plants);
  let found = 0;
  for (const name of names) if (await isFound(name)) found++;
  console.log(`${found} of ${names.length} planted bugs are found`);
  return found === names.length;
}

async function runSeeds(): Promise<boolean> {
  const timer = setInterval(() => console.log(progress()), progressMs);
  await runCampaign({ from, to, hours, jobs, ended, ...(plant === undefined ? {} : { plant }) });
  clearInterval(timer);
  const found = outcomes.find(isBroken);
  if (plant !== undefined && found) console.log(foundBy(plant, found));
  else console.log(summary());
  return found === undefined;
}

process.exitCode = (await (values.plants ? runPlants() : runSeeds())) ? 0 : 1;
