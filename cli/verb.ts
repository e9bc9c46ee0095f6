import type { ParseArgsConfig } from 'node:util';
import { parseArgs } from 'node:util';
import { UsageError } from '#lib/std/main.ts';
import type { Output } from './output.ts';

/** One verb of the command line. Adding one: a file in verbs/, a row in main.ts. */
export interface Verb {
  readonly name: string;
  /** One line for the list of verbs. */
  readonly summary: string;
  /** The whole text of `factoryctl VERB --help`. */
  readonly help: string;
  /** Returns the exit code. */
  run(args: readonly string[], out: Output): Promise<number>;
}

/** Exit codes, in `factoryctl --help` as well. */
export const exit = { ok: 0, failed: 1, usage: 2, timeout: 3 } as const;

type Options = NonNullable<ParseArgsConfig['options']>;

/** Flags of every verb that talks to the API server. */
export const connectionFlags = {
  kubeconfig: { type: 'string' },
  context: { type: 'string' },
  namespace: { type: 'string', short: 'n' },
} as const satisfies Options;

export const connectionHelp = `  -n, --namespace NS     Namespace; the context's own, or default, if left out
      --kubeconfig FILE  Instead of $KUBECONFIG, ~/.kube/config, or that of a running local cluster
      --context NAME     Context of the kubeconfig`;

/** Parses flags; anything unknown is a usage error that names the verb's help. */
export function parseFlags<T extends Options>(verb: string, args: readonly string[], options: T) {
  try {
    return parseArgs({ args: [...args], options, allowPositionals: true, strict: true });
  } catch (error) {
    const sentence = (error as Error).message.split('. ')[0];
    throw new UsageError(`${sentence}. See "factoryctl ${verb} --help".`);
  }
}

/** A whole number given to a flag. */
export function readCount(flag: string, text: string): number {
  if (!/^\d+$/.test(text)) throw new UsageError(`--${flag} takes a whole number, not "${text}".`);
  return Number(text);
}
