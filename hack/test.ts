/**
 * Runs every test: first those beside the code, two files at a time, then the end-to-end ones in test/e2e/, one at a time, since each
 * starts a whole cluster. Names given on the command line are passed to vitest instead of all that. Ends with what was skipped, with what
 * failed and why, since the end is what is kept of a long run, and with one line that counts. On CI (CI=true) a skipped test is a failure.
 */
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestReport } from './test-reporter.ts';

const root = join(import.meta.dirname, '..');
const onCi = process.env.CI === 'true';

function runVitest(args: readonly string[], reportFile: string): Promise<number> {
  const vitest = join(root, 'node_modules/vitest/vitest.mjs');
  const reporters = ['--reporter=default', `--reporter=${join(import.meta.dirname, 'test-reporter.ts')}`];
  const child = spawn(process.execPath, [vitest, 'run', ...reporters, ...args], {
    cwd: root,
    stdio: ['ignore', 'inherit', 'inherit'],
    env: { ...process.env, TEST_REPORT: reportFile },
  });
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('exit', (code) => resolve(code ?? 1));
  });
}

const phases =
  process.argv.length > 2
    ? [process.argv.slice(2)]
    : [
        ['--exclude', 'test/e2e/**'],
        ['--maxWorkers', '1', 'test/e2e'],
      ];
const folder = mkdtempSync(join(tmpdir(), 'cf-test-'));
const reports: TestReport[] = [];
let ok = true;
try {
  for (const [index, args] of phases.entries()) {
    const file = join(folder, `${index}.json`);
    ok = (await runVitest(args, file)) === 0 && ok;
    // Without a report vitest itself has failed, and has said why.
    if (existsSync(file)) reports.push(JSON.parse(readFileSync(file, 'utf8')) as TestReport);
    else ok = false;
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}
const passed = reports.reduce((sum, report) => sum + report.passed, 0);
const skipped = reports.flatMap((report) => report.skipped);
const failed = reports.flatMap((report) => report.failed);
if (!ok && failed.length === 0) failed.push('vitest, which says why above');
const list = (names: readonly string[]) => names.map((name) => `  ${name}`).join('\n');
if (skipped.length > 0) console.log(`\nSkipped, each with its reason above:\n${list(skipped)}`);
if (onCi && skipped.length > 0) console.log('On CI nothing may be skipped: this run has failed.');
if (failed.length > 0) console.log(`\nFailed, each with its whole reason above:\n${list(failed)}`);
console.log(`\n${passed} passed, ${failed.length} failed, ${skipped.length} skipped`);
process.exit(failed.length === 0 && !(onCi && skipped.length > 0) ? 0 : 1);
