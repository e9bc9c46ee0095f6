/** factoryctl: the command line. One verb, one file in verbs/. */
import { ApiError } from '#lib/std/errors.ts';
import { UsageError } from '#lib/std/main.ts';
import { type Output, terminalOutput } from './output.ts';
import { exit, type Verb } from './verb.ts';
import { apply } from './verbs/apply.ts';
import { consoleVerb } from './verbs/console.ts';
import { cordon, uncordon } from './verbs/cordon.ts';
import { remove } from './verbs/delete.ts';
import { describe } from './verbs/describe.ts';
import { drain } from './verbs/drain.ts';
import { exec } from './verbs/exec.ts';
import { gc } from './verbs/gc.ts';
import { get } from './verbs/get.ts';
import { local } from './verbs/local.ts';
import { log } from './verbs/log.ts';
import { migrate, restart, start, stop } from './verbs/operate.ts';
import { plan } from './verbs/plan.ts';
import { scale } from './verbs/scale.ts';
import { screenshot } from './verbs/screenshot.ts';
import { upload } from './verbs/upload.ts';
import { version } from './verbs/version.ts';
import { vnc } from './verbs/vnc.ts';
import { wait } from './verbs/wait.ts';
import { why } from './verbs/why.ts';

export const verbs: readonly Verb[] = [
  local,
  apply,
  get,
  describe,
  why,
  plan,
  wait,
  scale,
  start,
  stop,
  restart,
  migrate,
  consoleVerb,
  log,
  screenshot,
  vnc,
  exec,
  upload,
  cordon,
  drain,
  uncordon,
  gc,
  remove,
  version,
];

function help(): string {
  const width = Math.max(...verbs.map(({ name }) => name.length));
  return `factoryctl asks for compute capacity, and says why it is not there yet.

Usage: factoryctl VERB [arguments] [flags]

Verbs:
${verbs.map(({ name, summary }) => `  ${name.padEnd(width)}   ${summary}`).join('\n')}

"factoryctl VERB --help" shows examples and flags. kubectl works as well: the API server is a Kubernetes API server.
Exit codes: 0 done, 1 refused or not as asked, 2 called wrongly, 3 not in time.`;
}

/** Runs one command line; returns the exit code. */
export async function runCommandLine(args: readonly string[], out: Output): Promise<number> {
  const [name, ...rest] = args;
  if (name === undefined || name === '--help' || name === '-h' || name === 'help') {
    const asked = verbs.find((verb) => verb.name === rest[0]);
    out.line(asked?.help ?? help());
    return name === undefined ? exit.usage : exit.ok;
  }
  const verb = verbs.find((candidate) => candidate.name === name);
  try {
    if (!verb) throw new UsageError(`There is no verb "${name}". See "factoryctl --help".`);
    // What stands behind two dashes is meant for somebody else.
    const own = rest.includes('--') ? rest.slice(0, rest.indexOf('--')) : rest;
    if (own.includes('--help') || own.includes('-h')) {
      out.line(verb.help);
      return exit.ok;
    }
    return await verb.run(rest, out);
  } catch (error) {
    if (error instanceof UsageError) {
      out.error(error.message);
      return exit.usage;
    }
    if (error instanceof ApiError) {
      out.error(error.message);
      return exit.failed;
    }
    throw error;
  }
}

if (import.meta.main) {
  // A reader that has seen enough, such as head, is no error.
  process.stdout.on('error', (error: NodeJS.ErrnoException) =>
    process.exit(error.code === 'EPIPE' ? exit.ok : exit.failed),
  );
  process.on('SIGINT', () => process.exit(130));
  process.exit(await runCommandLine(process.argv.slice(2), terminalOutput()));
}
