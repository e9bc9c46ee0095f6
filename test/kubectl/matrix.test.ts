/** Every command of kubectl, with every kubectl that is to be had here. The rows are in the files beside this one. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { kubectlsHere } from '../kubectls.ts';
import { whyNot } from '../requires.ts';
import { applyRows } from './apply.ts';
import { authRows } from './auth.ts';
import { createRows } from './create.ts';
import { deleteRows } from './delete.ts';
import { discoverRows } from './discover.ts';
import { eventRows } from './events.ts';
import { kustomizeRows } from './kustomize.ts';
import { readRows } from './read.ts';
import { rowsFor } from './row.ts';
import { waitRows } from './wait.ts';
import { World } from './world.ts';
import { writeRows } from './write.ts';

const subjects = {
  ...{ read: readRows, discover: discoverRows, create: createRows, apply: applyRows, kustomize: kustomizeRows },
  ...{ write: writeRows, delete: deleteRows, wait: waitRows, events: eventRows, auth: authRows },
};
const rows = Object.entries(subjects).flatMap(([subject, its]) =>
  its.map((row) => ({ ...row, title: `${subject}: ${row.title}` })),
);
/** By version: a row that a kubectl does not run any more must be noticed. */
const rowsOf: Readonly<Record<number, number>> = {
  ...{ 20: 105, 27: 119, 28: 120, 29: 120, 30: 121, 31: 122, 32: 121, 33: 121 },
};

// One per version: the one in PATH may stand for others that lie beside it.
const found = whyNot(['kubectl']) === undefined ? kubectlsHere() : [];
const kubectls = [...new Map(found.map((kubectl) => [kubectl.minor, kubectl])).values()];

describe.each(kubectls)('kubectl 1.$minor ($file)', { timeout: 120_000 }, ({ file, minor }) => {
  const its = rowsFor(rows, minor);
  let world: World;
  beforeAll(async () => {
    world = await World.start(file);
  });
  afterAll(() => world?.[Symbol.asyncDispose]());

  test('has its rows', () => {
    const steps = its.reduce((sum, row) => sum + row.steps.length, 0);
    console.log(`kubectl 1.${minor}: ${its.length} of ${rows.length} rows, ${steps} commands`);
    expect(its.length).toBe(rowsOf[minor] ?? its.length);
  });

  test.concurrent.each(its)('$title', (row) => world.carryOut(row));
});
