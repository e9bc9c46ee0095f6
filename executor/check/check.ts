/** What a host must have and do before machines can run on it: looked at one by one, each with what to do about it. */
import type { ExecutorConfig } from '../config.ts';

export interface Finding {
  /** `failed`: machines cannot run here. `warning`: they can, with less than one may expect. */
  readonly state: 'ok' | 'warning' | 'failed';
  /** What is so, or what is wrong and what to do about it. One line. */
  readonly text: string;
}

export interface Check {
  readonly name: string;
  /** One finding or several. What it throws is a failure. */
  look(config: ExecutorConfig): Promise<readonly Finding[]>;
}

export const ok = (text: string): Finding => ({ state: 'ok', text });
export const warning = (text: string): Finding => ({ state: 'warning', text });
export const failed = (text: string): Finding => ({ state: 'failed', text });

const stateWidth = 'warning'.length;

/** Says each finding on a line of its own as soon as it is there. False if one of them failed. */
export async function runChecks(
  checks: readonly Check[],
  config: ExecutorConfig,
  say: (line: string) => void,
): Promise<boolean> {
  const nameWidth = Math.max(...checks.map(({ name }) => name.length));
  let good = true;
  for (const check of checks) {
    for (const { state, text } of await findings(check, config)) {
      say(`${state.padEnd(stateWidth)}   ${check.name.padEnd(nameWidth)}   ${text}`);
      if (state === 'failed') good = false;
    }
  }
  return good;
}

async function findings(check: Check, config: ExecutorConfig): Promise<readonly Finding[]> {
  try {
    return await check.look(config);
  } catch (error) {
    return [failed((error instanceof Error ? error.message : String(error)).replaceAll(/\s+/g, ' ').trim())];
  }
}
