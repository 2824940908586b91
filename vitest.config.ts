import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    projects: [
      // No file of these changes its process, so modules are loaded once for each worker.
      { extends: true, test: { name: 'units', include: ['{src,ui/src,test/config,test/fuzz,test/wire}/**/*.test.ts'], isolate: false } },
      { extends: true, test: { name: 'whole', include: ['test/**/*.test.ts'], exclude: ['test/{config,fuzz,wire}/**'] } },
    ],
    pool: 'forks',
    // Most tests wait for something: with one for each core but one, as vitest has it, two cores would be idle most of the time.
    maxWorkers: 3,
    testTimeout: 20_000,
    hookTimeout: 20_000,
  },
});
