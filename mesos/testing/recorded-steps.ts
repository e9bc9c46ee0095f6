/** Reads a recording of a real Mesos as a script: what was sent, answered and streamed, in order. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

export type Step =
  | {
      readonly kind: 'request';
      readonly stream: string | undefined;
      readonly method: string;
      readonly path: string;
      readonly headers: Readonly<Record<string, string>>;
      readonly body: string;
    }
  | {
      readonly kind: 'response';
      readonly stream: string | undefined;
      readonly status: number;
      readonly headers: Readonly<Record<string, string>>;
      readonly body: string;
    }
  | { readonly kind: 'record'; readonly stream: string; readonly event: { readonly type: string } }
  | { readonly kind: 'end'; readonly stream: string };

const marker = /^(>>> |<<< |## |# )/;

export function readSteps(file: string): Step[] {
  const text = readFileSync(join(import.meta.dirname, '../testdata', file), 'utf8');
  const steps: Step[] = [];
  const blocks: string[][] = [];
  for (const line of text.split('\n')) {
    if (marker.test(line)) blocks.push([line]);
    else blocks.at(-1)?.push(line);
  }
  for (const [title = '', ...lines] of blocks) {
    const step = stepOf(title, lines);
    if (step !== undefined) steps.push(step);
  }
  return steps;
}

function stepOf(title: string, lines: readonly string[]): Step | undefined {
  const request = /^>>> request(?: \(stream (\w+)\))?/.exec(title);
  if (request) {
    const { first, headers, body } = message(lines);
    const [method = '', path = ''] = first.split(' ');
    return { kind: 'request', stream: request[1], method, path, headers, body };
  }
  const response = /^<<< response (?:to|head)(?:.*\(stream (\w+)\))?/.exec(title);
  if (response) {
    const { first, headers, body } = message(lines);
    return { kind: 'response', stream: response[1], status: Number(first.split(' ')[1]), headers, body };
  }
  const record = /^<<< \[(\w+)\].* record, chunk/.exec(title);
  if (record) return { kind: 'record', stream: record[1]!, event: JSON.parse(lines[1]!) };
  const end = /^<<< \[(\w+)\].* server closed the stream/.exec(title);
  return end ? { kind: 'end', stream: end[1]! } : undefined;
}

function message(lines: readonly string[]): { first: string; headers: Record<string, string>; body: string } {
  const blank = lines.indexOf('');
  const [first = '', ...head] = lines.slice(0, blank);
  const headers = Object.fromEntries(
    head.map((line) => {
      const colon = line.indexOf(':');
      return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()];
    }),
  );
  return {
    first,
    headers,
    body: lines
      .slice(blank + 1)
      .join('\n')
      .trim(),
  };
}

export type Recorded = Extract<Step, { kind: 'request' }> & { readonly answer: Extract<Step, { kind: 'response' }> };

/** The requests of a recording, each with its answer. Answers come in the order of the requests, except for the heads of streams. */
export function recordedExchanges(file: string): Recorded[] {
  const waiting: Extract<Step, { kind: 'request' }>[] = [];
  const exchanges: Recorded[] = [];
  for (const step of readSteps(file)) {
    if (step.kind === 'request') waiting.push(step);
    if (step.kind !== 'response') continue;
    const index = waiting.findIndex((request) => request.stream === step.stream);
    const [request] = index < 0 ? [] : waiting.splice(index, 1);
    if (request !== undefined) exchanges.push({ ...request, answer: step });
  }
  return exchanges;
}
