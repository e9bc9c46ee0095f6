import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['{lib,apiserver,controllers,mesos,executor,cli,hack,test}/**/*.test.ts'],
    // Two cores: more workers only make deadlines in other tests late.
    maxWorkers: 2,
    testTimeout: 30_000,
    hookTimeout: 60_000,
    pool: 'forks',
  },
});
