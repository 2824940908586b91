import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['src/**/*.test.ts', 'test/**/*.test.ts', 'ui/src/**/*.test.ts'],
    pool: 'forks',
    // Most tests wait for something: with one for each core but one, as vitest has it, two cores would be idle most of the time.
    maxWorkers: 3,
    testTimeout: 20_000,
    hookTimeout: 20_000,
    reporters: process.env['CI'] ? ['default'] : ['default'],
  },
});
