/**
 * Runs every test: first those beside the code, two files at a time, then the end-to-end ones in test/e2e/, one at a time, since each
 * starts a whole cluster. Names given on the command line are passed to vitest instead of all that. Ends with what failed, what was skipped
 * and with one line that counts. On CI (CI=true) a skipped test is a failure.
 */
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

interface Report {
  readonly numPassedTests: number;
  readonly numFailedTests: number;
  readonly testResults: readonly {
    readonly name: string;
    readonly status: string;
    readonly assertionResults: readonly { readonly fullName: string; readonly status: string }[];
  }[];
}

interface Sum {
  passed: number;
  failed: number;
  readonly broken: string[];
  readonly skipped: string[];
}

const root = join(import.meta.dirname, '..');
const onCi = process.env.CI === 'true';

function runVitest(args: readonly string[], reportFile: string): Promise<number> {
  const vitest = join(root, 'node_modules/vitest/vitest.mjs');
  const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${reportFile}`];
  const child = spawn(process.execPath, [vitest, 'run', ...reporters, ...args], {
    cwd: root,
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('exit', (code) => resolve(code ?? 1));
  });
}

function add(sum: Sum, report: Report): void {
  sum.passed += report.numPassedTests;
  sum.failed += report.numFailedTests;
  for (const file of report.testResults) {
    // A file that could not be loaded has no tests to count, and is a failure all the same.
    const name = file.name.slice(root.length + 1);
    if (file.status === 'failed' && !file.assertionResults.some(({ status }) => status === 'failed')) {
      sum.failed += 1;
      sum.broken.push(`${name}: cannot be loaded`);
    }
    for (const { fullName, status } of file.assertionResults) {
      if (status === 'failed') sum.broken.push(`${name}: ${fullName}`);
      if (status === 'skipped' || status === 'pending' || status === 'todo') sum.skipped.push(`${name}: ${fullName}`);
    }
  }
}

const phases =
  process.argv.length > 2
    ? [process.argv.slice(2)]
    : [
        ['--exclude', 'test/e2e/**'],
        ['--maxWorkers', '1', 'test/e2e'],
      ];
const folder = mkdtempSync(join(tmpdir(), 'cf-test-'));
const sum: Sum = { passed: 0, failed: 0, broken: [], skipped: [] };
let ok = true;
try {
  for (const [index, args] of phases.entries()) {
    const file = join(folder, `${index}.json`);
    ok = (await runVitest(args, file)) === 0 && ok;
    // Without a report vitest itself has failed, and has said why.
    if (existsSync(file)) add(sum, JSON.parse(readFileSync(file, 'utf8')) as Report);
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}
const list = (names: readonly string[]) => names.map((name) => `  ${name}`).join('\n');
if (sum.broken.length > 0) console.log(`\nFailed, each with its reason above:\n${list(sum.broken)}`);
if (sum.skipped.length > 0) console.log(`\nSkipped, each with its reason above:\n${list(sum.skipped)}`);
if (onCi && sum.skipped.length > 0) console.log('On CI nothing may be skipped: this run has failed.');
if (!ok && sum.failed === 0) sum.failed = 1;
console.log(`\n${sum.passed} passed, ${sum.failed} failed, ${sum.skipped.length} skipped`);
process.exit(ok && sum.failed === 0 && !(onCi && sum.skipped.length > 0) ? 0 : 1);
