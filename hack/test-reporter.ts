/**
 * What hack/test.ts has to know of a run of vitest, written to the file that $TEST_REPORT names: how many tests passed, which were skipped,
 * and what failed, each with the beginning of its reason. vitest's own JSON does not say why a set-up failed.
 */
import { writeFileSync } from 'node:fs';
import { relative } from 'node:path';
import { stripVTControlCharacters } from 'node:util';
import type { SerializedError } from 'vitest';
import type { Reporter, TestModule } from 'vitest/node';

export interface TestReport {
  readonly passed: number;
  readonly skipped: readonly string[];
  readonly failed: readonly string[];
}

const reasonLines = 16;
const reasonWidth = 300;

/** What was said, how it differs from what was expected, and where in the project; never the way through vitest. */
function reason(errors: readonly (SerializedError & { readonly diff?: string })[]): string {
  const lines = errors.flatMap(({ message, diff = '', stacks = [] }) => [
    ...`${message}\n${diff}`
      .split('\n')
      .filter((line) => line.trim() !== '')
      .slice(0, reasonLines),
    ...stacks.slice(0, 2).map(({ file, line }) => `at ${relative(process.cwd(), file)}:${line}`),
  ]);
  return lines.map((line) => `\n    ${stripVTControlCharacters(line).slice(0, reasonWidth)}`).join('');
}

function reportOf(modules: readonly TestModule[], unhandled: readonly SerializedError[]): TestReport {
  const skipped: string[] = [];
  const failed: string[] = [];
  let passed = 0;
  for (const module of modules) {
    const name = module.relativeModuleId;
    if (module.errors().length > 0) failed.push(`${name}: outside of its tests${reason(module.errors())}`);
    for (const suite of module.children.allSuites())
      if (suite.errors().length > 0)
        failed.push(`${name}: ${suite.fullName}: outside of its tests${reason(suite.errors())}`);
    for (const test of module.children.allTests()) {
      const { state, errors } = test.result();
      if (state === 'passed') passed += 1;
      else if (state === 'failed') failed.push(`${name}: ${test.fullName}${reason(errors)}`);
      else skipped.push(`${name}: ${test.fullName}`);
    }
  }
  if (unhandled.length > 0) failed.push(`outside of every test${reason(unhandled)}`);
  return { passed, skipped, failed };
}

export default class TestReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], unhandled: readonly SerializedError[]): void {
    writeFileSync(process.env.TEST_REPORT!, JSON.stringify(reportOf(modules, unhandled)));
  }
}
