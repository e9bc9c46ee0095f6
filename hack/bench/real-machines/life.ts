/**
 * Start and delete of one machine: launch to TASK_RUNNING and kill to the proof that the domain is absent, by an executor that runs as
 * a program of its own, against a bare script that makes and removes the same. Each makes the first machine of its subnet and removes the
 * last. BENCH_PAIRS sets another number of pairs.
 */
import { comparisonOf, interleaved, median, ratioInWords } from '../compare.ts';
import { openBenchHost, type Timed } from './host.ts';
import { bareScript } from './script.ts';
import { commandsInWords, stepsInWords } from './trace.ts';

const pairs = Number(process.env.BENCH_PAIRS ?? 9);

interface Life {
  readonly start: Timed;
  readonly remove: Timed;
}

export async function life(): Promise<readonly string[]> {
  await using bench = await openBenchHost();
  const model = bench.launch();
  await bench.start(model);
  const script = await bareScript(bench, model);
  await bench.remove(model);
  const ours = async (): Promise<Life> => {
    const launch = bench.launch();
    const start = await bench.start(launch);
    return { start, remove: await bench.remove(launch) };
  };
  const baseline = async (): Promise<Life> => {
    const start = await script.start();
    return { start, remove: await script.remove() };
  };
  const lives = await interleaved(pairs, ours, baseline);
  const left = await bench.host.exec('ip', '-br', 'link');
  if (left.trim().split('\n').length > 1) throw new Error(`Something is left of the machines:\n${left}`);
  return (['start', 'remove'] as const).flatMap((verb) => {
    const name = verb === 'remove' ? 'delete' : verb;
    const of = (side: 0 | 1, what: 'ms' | 'cpuMs') => lives.map((pair) => pair[side][verb][what]);
    const ms = (side: 0 | 1) => median(of(side, 'ms')).toFixed(0);
    // A tick of the processor's time is 10 ms: only the sum of many says something.
    const cpuMs = (side: 0 | 1) => (of(side, 'cpuMs').reduce((sum, each) => sum + each, 0) / pairs).toFixed(0);
    const traces = lives.map(([each]) => each[verb].traces);
    const ratio = ratioInWords(comparisonOf(lives.map(([a, b]) => [a[verb].ms, b[verb].ms])));
    return [
      `P9 ${name} ${ratio} floor=1.5 goal=1.15 ms=${ms(0)} scriptMs=${ms(1)} cpuMs=${cpuMs(0)} scriptCpuMs=${cpuMs(1)} pairs=${pairs}`,
      `P9 ${name} steps ${stepsInWords(traces)}`,
      `P9 ${name} ${commandsInWords(traces)}`,
    ];
  });
}
