/** What the executor of a figure did to its host, step by step. */
import { readFileSync } from 'node:fs';
import { median } from '../compare.ts';

export type Trace = { readonly ms: number } & ({ readonly step: string } | { readonly command: string });

/** Gives what was recorded since it was last asked. */
export function traceReader(file: string): () => readonly Trace[] {
  let read = 0;
  return () => {
    const lines = readFileSync(file, 'utf8').split('\n').slice(0, -1);
    const traces = lines.slice(read).map((line) => JSON.parse(line) as Trace);
    read = lines.length;
    return traces;
  };
}

/** `libvirt.start=120ms host.makeDisks=2x64ms …`, per round, the longest first. */
export function stepsInWords(rounds: readonly (readonly Trace[])[]): string {
  return inWords(rounds.map((traces) => traces.flatMap((each) => ('step' in each ? [[each.step, each.ms]] : []))));
}

/** The same of the programs that it ran, after how many there were. */
export function commandsInWords(rounds: readonly (readonly Trace[])[]): string {
  const commands = rounds.map((traces) =>
    traces.flatMap((each) => ('command' in each ? [[each.command, each.ms] as const] : [])),
  );
  return `commands=${median(commands.map(({ length }) => length))} ${inWords(commands)}`;
}

function inWords(rounds: readonly (readonly (readonly [name: string, ms: number])[])[]): string {
  const names = new Set(rounds.flatMap((entries) => entries.map(([name]) => name)));
  const rows = [...names].map((name) => {
    const of = rounds.map((entries) => entries.filter(([each]) => each === name).map(([, ms]) => ms));
    const times = median(of.map(({ length }) => length));
    return { name, times, ms: median(of.map((each) => each.reduce((sum, ms) => sum + ms, 0))) };
  });
  const shown = rows.filter(({ ms }) => ms >= 1).sort((a, b) => b.ms - a.ms);
  return shown.map(({ name, times, ms }) => `${name}=${times > 1 ? `${times}x:` : ''}${ms.toFixed(0)}ms`).join(' ');
}
