/**
 * P3: what a decision of the cluster server costs: 10,000 machines on 500 to 5,000 hosts, in mixes, against a scheduler that looks at every
 * host for every machine, and against the same greedy choice over bare arrays. In memory, without storing anything. Every run ends with a look
 * at each rule.
 */
import { compare, growthExponent, median, ratioInWords } from './compare.ts';
import { benchHosts, benchMachines, type Mix, mixes } from './placement/mixes.ts';
import { placeNaively } from './placement/naive.ts';
import { ourPlacing } from './placement/ours.ts';
import { placeInArrays } from './placement/typed.ts';
import { checkPlaced } from './placement/verdict.ts';

const machineCount = 10_000;
/** The baseline's cost per machine is the same for each: a part is enough. */
const naiveCount = 1_000;
const hostCounts = [500, 1_000, 2_500, 5_000];
const pairs = 3;
const repeats = 3;

export async function placements(): Promise<readonly string[]> {
  const lines: string[] = [];
  for (const mix of mixes) lines.push(await measure(mix));
  return [...lines, await againstArrays()];
}

/** What all that is more than room costs: rules, offers, books. */
async function againstArrays(): Promise<string> {
  const [mix, most] = [mixes[0]!, hostCounts.at(-1)!];
  const hosts = benchHosts(most);
  const machines = benchMachines(mix, machineCount);
  const arrays = () => {
    const { placed, tookMs } = timed(() => placeInArrays(machines, hosts));
    checkPlaced(placed, machines, hosts, machineCount);
    return rateOf(machineCount, tookMs);
  };
  const ours = async () => rateOf(machineCount, timeOurs(mix, most));
  const { ratio, low, high } = await compare(pairs, ours, async () => arrays());
  return `P3 mix=${mix.name} ratioToBareArrays=${ratio.toFixed(2)} interval=${low.toFixed(2)}..${high.toFixed(2)} hosts=${most} machines=${machineCount}`;
}

async function measure(mix: Mix): Promise<string> {
  const most = hostCounts.at(-1)!;
  const ours = async () => rateOf(machineCount, timeOurs(mix, most));
  const baseline = async () => rateOf(naiveCount, timeNaive(mix, most));
  const comparison = await compare(pairs, ours, baseline);
  const times = hostCounts.map((count) => median(Array.from({ length: repeats }, () => timeOurs(mix, count))));
  return (
    `P3 mix=${mix.name} ${ratioInWords(comparison, 1)} floor=2 goal=10 ` +
    `exponent=${growthExponent(hostCounts, times).toFixed(2)} floor=0.8 goal=0.3 ` +
    `perSecond=${rateOf(machineCount, times.at(-1)!).toFixed(0)} hosts=${hostCounts.join('/')} machines=${machineCount}`
  );
}

/** Per second of the processor: other programs on the machine do not count. */
const rateOf = (machines: number, tookMs: number) => machines / (tookMs / 1000);

function timeOurs(mix: Mix, hostCount: number): number {
  const hosts = benchHosts(hostCount);
  const machines = benchMachines(mix, machineCount);
  const { placed, tookMs } = timed(ourPlacing(machines, hosts));
  checkPlaced(placed, machines, hosts, machineCount);
  return tookMs;
}

function timeNaive(mix: Mix, hostCount: number): number {
  const hosts = benchHosts(hostCount);
  const machines = benchMachines(mix, naiveCount);
  const { placed, tookMs } = timed(() => placeNaively(machines, hosts));
  checkPlaced(placed, machines, hosts, naiveCount);
  return tookMs;
}

function timed(place: () => Map<string, string>): { placed: Map<string, string>; tookMs: number } {
  const before = process.cpuUsage();
  const placed = place();
  const { user, system } = process.cpuUsage(before);
  return { placed, tookMs: (user + system) / 1000 };
}
