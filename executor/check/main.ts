/** factory-executor --check: says what of this host is ready for machines, and ends. */
import { UsageError } from '#lib/std/main.ts';
import { configFile, readConfig } from '../config.ts';
import { runChecks } from './check.ts';
import { checksOf } from './checks.ts';

/** Exit code: 0 if machines can run here, 1 if not, 2 if the configuration cannot be used. */
export async function checkHost(): Promise<number> {
  const say = (line: string) => process.stdout.write(`${line}\n`);
  try {
    const config = readConfig(configFile(process.env));
    const good = await runChecks(checksOf(config), config, say);
    say(good ? 'Machines can run on this host.' : 'Machines cannot run on this host yet: see what failed.');
    return good ? 0 : 1;
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    process.stderr.write(`${error.message}\n`);
    return 2;
  }
}
